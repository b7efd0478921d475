"""The `minigpt` command: train, sample, check, card, faults, dashboard, lr-find.

Each command is a module with `add_arguments(parser)` and `run(arguments) -> exit code`. Bad input ends with
one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from minigpt.cli.command_line import answer
from minigpt.cli.parser import Parser, UsageError
from minigpt.messages import LANGUAGES, message, nearest

# Threads that wait sleep instead of spinning: where something else runs besides, two spinning threads
# train several times slower than one. OpenMP reads this when torch is imported, which comes later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

COMMANDS = ("train", "sample", "check", "card", "faults", "dashboard", "lr-find")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    code = answer(_dispatch, sys.argv[1:] if argv is None else argv, prefix="minigpt: ")
    if "minigpt.training.distributed" in sys.modules:
        sys.modules["minigpt.training.distributed"].end_process(code)
    return code


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(message("general.usage"))
        for name in COMMANDS:
            print(f"  {name:<11}{message(f'{_module(name)}.summary')}")
        return 0 if argv else 2
    name = argv[0]
    if name not in COMMANDS:
        hint = "" if name.startswith("-") else nearest(name, COMMANDS)
        raise UsageError("general.unknown-command", given=name, known=", ".join(COMMANDS), hint=hint)
    command = import_module(f"minigpt.cli.{_module(name)}")
    parser = Parser(prog=f"minigpt {name}", description=message(f"{_module(name)}.summary"))
    command.add_arguments(parser)
    parser.add_argument("--lang", metavar="|".join(LANGUAGES), help=message("general.lang-help"))
    return command.run(parser.parse_args(argv[1:]))


def _module(name: str) -> str:
    """Return the module, and the area of messages, of a command."""
    return name.replace("-", "_")
