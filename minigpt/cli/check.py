"""`minigpt check`: walk the stability check over a run.

Exit code 0 healthy, 1 a leaf, 2 not readable, 3 unknown.
"""

from __future__ import annotations

import json

from jsonargparse import Namespace
from rich.console import Console

from minigpt.cli.parser import Parser
from minigpt.messages import message
from minigpt.stability import Verdict, check
from minigpt.stability.report import as_data, show

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.PHASE_19: 1, Verdict.UNKNOWN: 3}


def add_arguments(parser: Parser) -> None:
    """Add the run to check and the form of the answer."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help=message("check.run-dir-help"))
    parser.add_argument("--json", action="store_true", help=message("check.json-help"))
    parser.add_argument("--all", action="store_true", help=message("check.all-help"))


def run(arguments: Namespace) -> int:
    """Print the walk."""
    walk = check(arguments.run_dir, whole=arguments.all)
    if arguments.json:
        print(json.dumps(as_data(walk), indent=2, ensure_ascii=False))
    else:
        show(walk, Console(highlight=False))
    return EXIT_CODES[walk.verdict]
