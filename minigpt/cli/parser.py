"""The parser of every command: flags, YAML files, variables, and each error as one sentence.

    parser = Parser("minigpt sample", message("sample.summary"), variables="MINIGPT_")
    parser.add_argument("run_dir", metavar="RUN_DIR", help=message("sample.run-dir-help"))
    parser.add_argument("--top-k", type=int | None, default=None, help=message("sample.top-k-help"))
    arguments = parser.parse_args(["runs/first", "--top-k", "5"])

A flag beats a YAML file (`--config FILE`), which beats a variable, in whatever order they are given. argparse
splits the command line. What it refuses is recognised by the exception and the argument named there, never by
its English text.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NoReturn, get_args, get_origin

from minigpt.config import flat
from minigpt.messages import LANGUAGES, MiniGPTError, message, nearest


class UsageError(MiniGPTError):
    """A command line that cannot be understood."""


class Arguments(argparse.Namespace):
    """What a command was given; by attribute or by name, as in `arguments["run_dir"]`."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def keys(self) -> list[str]:
        """Return the names of all arguments that have a value."""
        return list(vars(self))


class Parser(argparse.ArgumentParser):
    """argparse with types as annotations, settings from files and variables, and `UsageError`.

    Args:
        prog: the command, as in "minigpt train".
        description: what it does, in one line.
        variables: prefix of the environment variables that options may come from; empty: from none.
        language_help: what the help says of `--lang`, which `command_line.answer` has read already.
    """

    def __init__(
        self, prog: str, description: str, variables: str = "", language_help: str | None = None
    ) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=LocalFormatter,
            epilog=message("general.variables-help") if variables else None,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            exit_on_error=False,
        )
        self._positionals.title = message("general.usage-positionals")
        self._optionals.title = message("general.usage-options-title")
        (help_action,) = self._actions
        help_action.help = message("general.help-help")
        self.variables = variables
        # options of other programs, and what does the same here; None: nothing does
        self.elsewhere: dict[str, str | None] = {}
        self._kinds: dict[str, Any] = {}  # annotation or function that reads a value, by name
        self._usual: dict[str, Any] = {}  # default by name; absent: no value unless given
        self._required: dict[str, str] = {}  # what the help calls an argument, by name
        super().add_argument(
            "--lang", metavar="|".join(LANGUAGES), help=language_help or message("general.lang-help")
        )

    def add_argument(self, *names: str, type: Any = str, **settings: Any) -> argparse.Action:
        """Add an argument as argparse does.

        Args:
            type: an annotation (int, float | None, a Literal …), or a function that makes a value of a text
                and raises ValueError where it cannot. An option of type bool needs no value to be true.
        """
        default = settings.pop("default", False if settings.get("action") == "store_true" else None)
        if settings.get("action") in ("help", "store_true", "append"):
            action = super().add_argument(*names, **settings)
            kind = bool if action.nargs == 0 else str
        else:
            required = not names[0].startswith("-") and "nargs" not in settings
            if required:  # asked for below, in our words
                settings["nargs"] = "?"
                self._required[names[0]] = settings.get("metavar", names[0])
            if type is bool:  # the flag alone says yes
                settings |= {"nargs": "?", "const": True}
            action = super().add_argument(*names, **settings)
            kind, action.type = type, partial(self._read, action.dest, type)
        if not isinstance(action, argparse._HelpAction):
            self._kinds[action.dest] = kind
            if default is not argparse.SUPPRESS:
                self._usual[action.dest] = default
        return action

    def add_config(self, text: str) -> None:
        """Add `--config FILE.yaml`, from which every other option may come; a later file beats an earlier."""
        super().add_argument("--config", action="append", metavar="FILE.yaml", help=text)

    def parse_args(self, args: list[str]) -> Arguments:  # type: ignore[override]
        """Parse the command line.

        Raises:
            UsageError: an argument, a file or a variable cannot be understood.
        """
        # one line, instead of every option; argparse would make its own here, and expects it to be English
        self.usage = " ".join(["%(prog)s", message("general.usage-options"), *_positionals(self._actions)])
        try:
            flags, unknown = self.parse_known_intermixed_args(args)
        except argparse.ArgumentError as error:
            raise self._refused(error.argument_name) from None
        if unknown:
            raise self._unknown(unknown)
        given = vars(flags)
        files = [os.environ[f"{self.variables}CONFIG"]] if self._reads("CONFIG") else []
        from_files: dict[str, Any] = {}
        for path in [*files, *given.pop("config", [])]:
            from_files |= self._from_file(path)
        values = self._usual | self._from_variables() | from_files | given
        for name, shown in self._required.items():
            if values.get(name) is None:
                raise UsageError("general.missing-argument", prog=self.prog, name=shown)
        return Arguments(**values)

    def error(self, text: str) -> NoReturn:
        """Refuse for a reason that argparse words itself."""
        raise UsageError("general.bad-arguments", prog=self.prog, detail=text)

    def _reads(self, name: str) -> bool:
        has_config = "--config" in self._option_string_actions
        return bool(self.variables) and has_config and f"{self.variables}{name}" in os.environ

    def _from_variables(self) -> dict[str, Any]:
        """Return the options that a variable sets; a list has commas between its items."""
        found: dict[str, Any] = {}
        for action in self._actions if self.variables else ():
            text = os.environ.get(f"{self.variables}{action.dest.upper()}")
            if text is None or not action.option_strings or action.dest not in self._kinds:
                continue
            if isinstance(action, argparse._AppendAction):
                found[action.dest] = text.split(",")
            else:
                found[action.dest] = self._read(action.dest, self._kinds[action.dest], text)
        return found

    def _from_file(self, path: str) -> dict[str, Any]:
        import yaml

        if not os.path.isfile(path):
            raise UsageError("config.no-such-file", path=path)
        try:
            with open(path, encoding="utf-8") as file:
                found = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError("config.not-yaml", detail=" ".join(str(error).split())[:200]) from None
        if not isinstance(found, Mapping):
            raise UsageError("config.not-yaml", detail=type(found).__name__)
        found = flat(found)
        for name in found:
            if name not in self._kinds:
                raise UsageError("config.unknown-key", name=name, hint=nearest(str(name), self._kinds))
        return {name: self._checked(name, value) for name, value in found.items()}

    def _checked(self, name: str, value: Any) -> Any:
        """Return what a YAML file says of an argument, read as its type where it is a text."""
        if isinstance(value, str):
            return self._read(name, self._kinds[name], value)
        if isinstance(value, list) and isinstance(self._usual.get(name), list):
            return value
        kind, choices, may_be_none = alternatives(self._kinds[name])
        if value is None and may_be_none:
            return value
        numbers = kind in (int, float) and isinstance(value, int | float)
        if (
            choices
            or not (numbers or isinstance(value, kind))
            or isinstance(value, bool) is not (kind is bool)
        ):
            raise wrong_value(name, kind, choices, value)
        return value

    def _read(self, name: str, kind: Any, text: str) -> Any:
        """Return the value that a text stands for."""
        if get_origin(kind) is None and kind not in READERS:  # a function, or a class such as Path
            try:
                return kind(text)
            except ValueError:
                raise UsageError(
                    "general.wrong-value", prog=self.prog, option=f"--{name.replace('_', '-')}", given=text
                ) from None
        return read_value(name, kind, text)

    def _refused(self, name: str | None) -> UsageError:
        """Return what is wrong with an argument that argparse could not take: too many values or none."""
        action = next((action for action in self._actions if "/".join(action.option_strings) == name), None)
        key = "takes-no-value" if action is not None and action.nargs == 0 else "missing-value"
        return UsageError(f"general.{key}", prog=self.prog, name=name)

    def _unknown(self, given: list[str]) -> UsageError:
        first = next((word for word in given if word.startswith("-")), given[0])
        if not first.startswith("-"):
            return UsageError("general.unknown-argument", given=first, prog=self.prog, hint="")
        option = first.split("=")[0]
        if option in self.elsewhere:
            instead = self.elsewhere[option]
            key = "elsewhere" if instead else "needless"
            raise UsageError(f"train.alias-{key}", alias=option, instead=instead)
        options = {option for option in self._option_string_actions if option.startswith("--")} - {"--help"}
        hint = nearest(option, options)
        return UsageError("general.unknown-option", given=first, prog=self.prog, hint=hint)


class LocalFormatter(argparse.HelpFormatter):
    """argparse's help, its own words in the language in force."""

    def add_usage(self, usage, actions, groups, prefix=None) -> None:
        if prefix is None:
            prefix = message("general.usage-prefix")
        super().add_usage(usage, actions, groups, prefix)


def _positionals(actions) -> list[str]:
    """Return how each positional argument is written in a usage line: RUN_DIR, [RUN ...]."""
    positionals = [action for action in actions if not action.option_strings]
    shapes = {argparse.ZERO_OR_MORE: "[{} ...]"}
    return [shapes.get(action.nargs, "{}").format(action.metavar or action.dest) for action in positionals]


def alternatives(kind: Any) -> tuple[type, tuple[Any, ...], bool]:
    """Return the type of an annotation, the values to choose from if it lists them, and whether None fits."""
    if get_origin(kind) is Literal:
        return type(get_args(kind)[0]), get_args(kind), False
    kinds = get_args(kind) or (kind,)
    return next(inner for inner in kinds if inner is not type(None)), (), type(None) in kinds


def read_value(name: str, kind: Any, text: str) -> Any:
    """Return the value of an annotated type that a text stands for.

    Raises:
        UsageError: it stands for none.
    """
    kind, choices, may_be_none = alternatives(kind)
    if may_be_none and text == "null":
        return None
    try:
        value = READERS[kind](text)
    except (ValueError, OverflowError, KeyError):
        raise wrong_value(name, kind, (), text) from None
    if choices and value not in choices:
        raise wrong_value(name, kind, choices, text)
    return value


def wrong_value(name: str, kind: type, choices: tuple[Any, ...], given: Any) -> UsageError:
    """Return the error for a value that is not of its type, or none of its choices."""
    if choices:
        hint = nearest(str(given), choices)
        return UsageError("config.not-a-choice", name=name, given=given, known=", ".join(choices), hint=hint)
    return UsageError("config.wrong-type", name=name, expected=kind.__name__, given=given)


def _whole(text: str) -> int:
    """Return the whole number that a text stands for; 1e3 is one too."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)


TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
READERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: float,
    bool: lambda text: TRUTH[text.lower()],
}
