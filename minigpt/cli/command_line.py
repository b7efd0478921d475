"""What the commands `minigpt` and `course` share: their list, the language asked for, and a clean end.

    def main(argv=None) -> int:
        return answer(work, sys.argv[1:] if argv is None else argv, prefix="minigpt: ")

Any error that the user can fix is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.messages import MiniGPTError, message, nearest, reason_of, use_language

INTERRUPTED = 130  # as a shell says of a program that Ctrl-C ended


def answer(work: Callable[[list[str]], int], argv: list[str], prefix: str = "", unusable: int = 2) -> int:
    """Do the work in the language that the command line asks for, and return the exit code.

    Args:
        prefix: stands before every sentence.
        unusable: exit code of an error; of a command line that cannot be understood it is always 2.
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
    except SystemExit as stop:  # argparse, after --help
        code = stop.code
    except UsageError as error:
        code = _stop(prefix + str(error), 2)
    except MiniGPTError as error:
        code = _stop(prefix + str(error), unusable)
    except KeyboardInterrupt:
        code = _stop(f"\n{prefix}{message('general.interrupted')}", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _forget_output()
    except OSError as error:
        _forget_output()
        place = f" ({error.filename})" if error.filename else ""
        reason = f"{reason_of(error)}{place}"
        code = _stop(prefix + message("general.refused", reason=reason), unusable)
    finally:
        use_language(None)
    return code


@dataclass(frozen=True)
class Command:
    """One command of a program: its line in the list, and what to do with a parser of its own."""

    summary: str
    # adds the arguments, and returns the function that does the work and gives the exit code
    prepare: Callable[[Parser], Callable[[Arguments], int]]


def dispatch(
    prog: str, usage: str, commands: Mapping[str, Command], argv: list[str], variables: str = ""
) -> int:
    """Run the command that the first word names, and return its exit code; without a word, list them.

    Args:
        usage: what stands above the list of commands.
        variables: prefix of the environment variables that options may come from.

    Raises:
        UsageError: there is no such command, or it cannot be called so.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        for name, command in commands.items():
            print(f"  {name:<12}{command.summary}")
        return 0 if argv else 2
    name = argv[0]
    if name not in commands:
        hint = "" if name.startswith("-") else nearest(name, commands)
        raise UsageError("general.unknown-command", given=name, known=", ".join(commands), hint=hint)
    parser = Parser(f"{prog} {name}", commands[name].summary, variables)
    work = commands[name].prepare(parser)
    return work(parser.parse_args(argv[1:]))


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
