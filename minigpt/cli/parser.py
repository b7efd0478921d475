"""The parser of every command: flags, YAML files, MINIGPT_… variables, and errors in one sentence.

A flag beats a YAML file, which beats a variable, in whatever order they are given.
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Literal, NoReturn, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from minigpt.cli.command_line import LocalFormatter, localise
from minigpt.messages import MiniGPTError, message, nearest


class UsageError(MiniGPTError):
    """A command line that cannot be understood."""


class Help(LocalFormatter, DefaultHelpFormatter):
    """Explains an option by its message alone, which tells the default where there is one to tell."""

    def _get_help_string(self, action) -> str:
        return action.help or ""

    def _format_action_invocation(self, action) -> str:
        return argparse.HelpFormatter._format_action_invocation(self, action)  # the variables: once, below


class Parser(ArgumentParser):
    """jsonargparse's parser; what it refuses becomes a `UsageError`."""

    def __init__(self, **settings):
        super().__init__(
            default_env=True,
            env_prefix="MINIGPT",
            print_config=None,
            allow_abbrev=False,
            formatter_class=Help,
            epilog=message("general.variables-help"),
            **settings,
        )
        localise(self)

    def parse_args(self, args: list[str], **settings) -> Namespace:
        """Parse the command line, its `--config` files first, so that every flag beats them.

        Raises:
            UsageError: an argument, a file or a variable cannot be understood.
        """
        try:
            return super().parse_args(_config_first(args), **settings)
        except UnicodeDecodeError as error:
            raise UsageError("config.not-yaml", detail=error) from error

    def error(self, text: str, ex: Exception | None = None) -> NoReturn:
        detail = " ".join(str(ex or text).split())
        if found := re.search(r"unrecognized arguments: (\S+)", detail):
            options = [option for option in self._option_string_actions if option.startswith("--")]
            key = "unknown-option" if found[1].startswith("-") else "unknown-argument"
            hint = nearest(found[1].split("=")[0], options) if key == "unknown-option" else ""
            raise UsageError(f"general.{key}", given=found[1], prog=self.prog, hint=hint)
        if found := re.search(r"[Oo]ption '([\w.-]+)' is not accepted|[Kk]ey '([\w.-]+)' is not exp", detail):
            key = found[1] or found[2]
            hint = nearest(key, [action.dest for action in self._actions])
            raise UsageError("config.unknown-key", name=key, hint=hint)
        if found := re.search(r"(?:File does not exist|Path is not a file)[^:]*: '?([^']*)'?", detail):
            raise UsageError("config.no-such-file", path=found[1])
        if found := re.search(r"Problems parsing config: (.*)|Unexpected config: ?(.*)", detail):
            raise UsageError("config.not-yaml", detail=(found[1] or found[2] or "").strip()[:200])
        if found := re.search(r'Parser key "([\w.-]+)":.* (?:Got|Given) value: (.*)', detail):
            raise self._wrong_value(found[1], found[2])
        if found := re.search(r"arguments are required: (.*)|argument (\S+): expected", detail):
            key = "missing-argument" if found[1] else "missing-value"
            raise UsageError(f"general.{key}", prog=self.prog, name=(found[1] or "").upper() or found[2])
        raise UsageError("general.bad-arguments", prog=self.prog, detail=detail)

    def _wrong_value(self, name: str, given: str) -> UsageError:
        kind = next((action._typehint for action in self._actions if action.dest == name), str)
        kind, choices = _alternatives(kind)
        if choices:
            hint = nearest(given, choices)
            return UsageError(
                "config.not-a-choice", name=name, given=given, known=", ".join(choices), hint=hint
            )
        return UsageError("config.wrong-type", name=name, expected=kind, given=given)


def _alternatives(kind: Any) -> tuple[str, tuple[str, ...]]:
    """Return the name of a type without its None, and the values to choose from where there are some."""
    if get_origin(kind) is Literal:
        return "str", get_args(kind)
    kinds = [inner for inner in get_args(kind) or (kind,) if inner is not type(None)]
    return getattr(kinds[0], "__name__", str(kinds[0])), ()


def _config_first(args: list[str]) -> list[str]:
    """Return the arguments with `--config FILE` and `--config=FILE` in front, in their own order."""
    first, rest = [], []
    waiting = iter(args)
    for argument in waiting:
        if argument == "--config":
            first += [argument, *([following] if (following := next(waiting, None)) is not None else [])]
        else:
            (first if argument.startswith("--config=") else rest).append(argument)
    return first + rest
