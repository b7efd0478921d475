"""What the commands `minigpt` and `course` share: the language asked for, help in it, and a clean end.

    def main(argv=None) -> int:
        return answer(work, sys.argv[1:] if argv is None else argv, prefix="minigpt: ")

Whatever stops a command that the user or the machine can mend is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable

from minigpt.messages import MiniGPTError, message, use_language

INTERRUPTED = 130  # as a shell says of a program that Ctrl-C ended


def answer(work: Callable[[list[str]], int], argv: list[str], prefix: str = "", unusable: int = 2) -> int:
    """Do the work in the language that the command line asks for, and return the exit code.

    `prefix` stands before every sentence, `unusable` is the code for what cannot be done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ shows ? in its place
    code = 0
    try:
        language, rest = _language_asked(argv)
        if language:
            use_language(language)
        code = work(rest)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse, after --help and after what it refuses
        code = stop.code
    except MiniGPTError as error:
        code = _stop(prefix + str(error), unusable)
    except KeyboardInterrupt:
        code = _stop(f"\n{prefix}{message('general.interrupted')}", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _forget_output()
    except OSError as error:
        _forget_output()
        place = f" ({error.filename})" if error.filename else ""
        reason = f"{error.strerror or error}{place}"
        code = _stop(prefix + message("general.refused", reason=reason), unusable)
    finally:
        use_language(None)
    return code


class LocalFormatter(argparse.HelpFormatter):
    """argparse's help, its own words in the language in force, and a usage of one line."""

    def add_usage(self, usage, actions, groups, prefix=None) -> None:
        if prefix is None:
            prefix = message("general.usage-prefix")
            usage = usage or " ".join(["%(prog)s", message("general.usage-options"), *_positionals(actions)])
        super().add_usage(usage, actions, groups, prefix)


def localise(parser: argparse.ArgumentParser) -> None:
    """Put the headings of a parser's help, and what it says of --help, into the language in force."""
    parser._positionals.title = message("general.usage-positionals")
    parser._optionals.title = message("general.usage-options-title")
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            action.help = message("general.help-help")


def _positionals(actions) -> list[str]:
    """Return how each positional argument is written in a usage line: RUN_DIR, [RUN ...]."""
    positionals = [action for action in actions if not action.option_strings]
    shapes = {argparse.ZERO_OR_MORE: "[{} ...]", argparse.PARSER: "{} ..."}
    return [shapes.get(action.nargs, "{}").format(action.metavar or action.dest) for action in positionals]


def _language_asked(argv: list[str]) -> tuple[str | None, list[str]]:
    """Return what `--lang` asks for, wherever it stands, and the other arguments.

    Before anything else is read, so that even a usage error speaks that language. A `--lang` without a value
    stays among the arguments, to be refused with them.
    """
    language, rest = None, []
    waiting = iter(argv)
    for argument in waiting:
        if argument.startswith("--lang="):
            language = argument.removeprefix("--lang=")
        elif argument == "--lang" and (following := next(waiting, None)) is not None:
            language = following
        else:
            rest.append(argument)
    return language, rest


def _stop(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


def _forget_output() -> None:
    """Lead what cannot be written to nowhere: Python writes it at its end, and would fail once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
