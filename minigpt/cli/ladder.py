"""`minigpt ladder`: add one feature at a time to a healthy base, and stop at the first that breaks it.

    minigpt ladder seed-001
    minigpt ladder seed-001 --steps 500 --run-dir experiments/ladder
    minigpt ladder mine.yaml

Exit code 0: every rung holds, 1: one broke.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from minigpt.cli.ladder_tables import not_measured, tables
from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.cli.train import add_recipe_arguments, listed, settings_given
from minigpt.config.ladders import LADDERS, load_ladder
from minigpt.messages import message
from minigpt.runs.run import strict

if TYPE_CHECKING:
    from minigpt.diagnosis.ladder import Climbed


def add_arguments(parser: Parser) -> None:
    """Add the ladder, where its runs go, and settings for all its rungs."""
    known = message("ladder.ladder-help", known=", ".join(LADDERS))
    parser.add_argument("ladder", metavar="LADDER", help=known)
    parser.add_argument(
        "--run-dir", type=str | None, default=None, metavar="DIR", help=message("ladder.run-dir-help")
    )
    parser.add_argument("--all", action="store_true", help=message("ladder.all-help"))
    parser.add_argument("--json", action="store_true", help=message("ladder.json-help"))
    add_recipe_arguments(parser)


def run(arguments: Arguments) -> int:
    """Climb, print every rung as it ends, and say which one broke."""
    if arguments.preset:
        raise UsageError("ladder.no-preset", given=arguments.preset)
    ladder, given = load_ladder(arguments.ladder), settings_given(arguments)
    ladder.configs(given)  # what does not go together is said before anything trains
    from minigpt.diagnosis.ladder import climb

    folder = arguments.run_dir or Path("experiments") / f"{ladder.name}-{datetime.now():%Y%m%d-%H%M%S}"
    climbed: list[Climbed] = []
    for step in climb(ladder, folder, given, listed(arguments.fault), arguments.all):
        climbed.append(step)
        if not arguments.json:
            verdict = step.walk.leaf or message(f"ladder.verdict-{step.walk.verdict}")
            print(message("ladder.rung", name=step.rung.name, loss=step.loss, verdict=verdict))
    broken = next((step for step in climbed if step.broke), None)
    if arguments.json:
        print(json.dumps(strict([step.as_data() for step in climbed]), indent=2, ensure_ascii=False))
    else:
        for shown in tables(ladder, climbed):
            Console(highlight=False).print(shown)
            print()
        if note := not_measured(ladder):
            print(note)
        if broken:
            leaf = broken.walk.leaf or message(f"ladder.verdict-{broken.walk.verdict}")
            print(message("ladder.broke", name=broken.rung.name, leaf=leaf, path=broken.path))
        else:
            print(message("ladder.held", count=len(climbed)))
    return 1 if broken else 0
