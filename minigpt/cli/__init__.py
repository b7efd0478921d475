"""The `minigpt` command: train, sample, check, card, faults, dashboard, lr-find.

Each command is a module with `add_arguments(parser)` and `run(arguments) -> exit code`. Bad input ends with
one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from minigpt.cli.parser import Parser, UsageError
from minigpt.messages import MiniGPTError, message, nearest, use_language

# Threads that wait sleep instead of spinning: where something else runs besides, two spinning threads
# train several times slower than one. OpenMP reads this when torch is imported, which comes later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

COMMANDS = ("train", "sample", "check", "card", "faults", "dashboard", "lr-find")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    code = _run(sys.argv[1:] if argv is None else argv)
    if "minigpt.distributed" in sys.modules:
        sys.modules["minigpt.distributed"].end_process(code)
    return code


def _run(argv: list[str]) -> int:
    try:
        use_language(_asked_language(argv))
        return _dispatch(argv)
    except MiniGPTError as error:
        print(f"minigpt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nminigpt: {message('general.interrupted')}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        use_language(None)


def _asked_language(argv: list[str]) -> str | None:
    """Look for --lang before anything is parsed, so that even a usage error speaks it."""
    for index, argument in enumerate(argv):
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
        if argument == "--lang" and index + 1 < len(argv):
            return argv[index + 1]
    return None


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(message("general.usage"))
        for name in COMMANDS:
            print(f"  {name:<11}{message(f'{_module(name)}.summary')}")
        return 0 if argv else 2
    name = argv[0]
    if name not in COMMANDS:
        raise UsageError(
            "general.unknown-command", given=name, known=", ".join(COMMANDS), hint=nearest(name, COMMANDS)
        )
    command = import_module(f"minigpt.cli.{_module(name)}")
    parser = Parser(prog=f"minigpt {name}", description=message(f"{_module(name)}.summary"))
    command.add_arguments(parser)
    parser.add_argument("--lang", help=message("general.lang-help"))
    return command.run(parser.parse_args(argv[1:]))


def _module(name: str) -> str:
    """Return the module, and the area of messages, of a command."""
    return name.replace("-", "_")
