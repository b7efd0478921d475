"""The `minigpt` command: train, sample, check, card, faults, dashboard, lr-find, sensitivity, ladder.

Each command is a module with `add_arguments(parser)` and `run(arguments) -> exit code`. Bad input ends with
one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from minigpt.cli.command_line import Command, answer, dispatch
from minigpt.cli.parser import Arguments, Parser
from minigpt.messages import message

# Threads that wait sleep instead of spinning: where something else runs besides, two spinning threads
# train several times slower than one. OpenMP reads this when torch is imported, which comes later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

COMMANDS = ("train", "sample", "check", "card", "faults", "dashboard", "lr-find", "sensitivity", "ladder")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    code = answer(_run, sys.argv[1:] if argv is None else argv, prefix="minigpt: ")
    if "minigpt.training.distributed" in sys.modules:
        sys.modules["minigpt.training.distributed"].end_process(code)
    return code


def _run(argv: list[str]) -> int:
    commands = {
        name: Command(message(f"{_module(name)}.summary"), partial(_prepare, _module(name)))
        for name in COMMANDS
    }
    return dispatch("minigpt", message("general.usage"), commands, argv, variables="MINIGPT_")


def _prepare(module: str, parser: Parser) -> Callable[[Arguments], int]:
    """Import a command, which takes seconds where it needs torch, and let it add its arguments."""
    command = import_module(f"minigpt.cli.{module}")
    command.add_arguments(parser)
    return command.run


def _module(name: str) -> str:
    """Return the module, and the area of messages, of a command."""
    return name.replace("-", "_")
