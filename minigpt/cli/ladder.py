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
from rich.markup import escape
from rich.table import Table

from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.cli.train import add_recipe_arguments, listed, settings_given
from minigpt.config.ladders import LADDERS, PROMISED, Ladder, load_ladder
from minigpt.messages import message
from minigpt.runs.run import strict

if TYPE_CHECKING:
    from minigpt.diagnosis.ladder import Climbed

ALWAYS = ("loss", "grad_norm", "minutes")  # figures that are shown whatever is promised


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
        Console(highlight=False).print(_table(ladder, climbed))
        if broken:
            leaf = broken.walk.leaf or message(f"ladder.verdict-{broken.walk.verdict}")
            print(message("ladder.broke", name=broken.rung.name, leaf=leaf, path=broken.path))
        else:
            print(message("ladder.held", count=len(climbed)))
    return 1 if broken else 0


def _table(ladder: Ladder, climbed: list[Climbed]) -> Table:
    """Return the figures of every rung beside the promised ones; losses as shares of chance, too."""
    asked = {name for rung in ladder.rungs for name in rung.promised}
    figures = [name for name in PROMISED if name in ALWAYS or name in asked]
    columns = [f"ladder.column-{part}{name}" for name in figures for part in ("", "promised-")]
    heads = ("ladder.column-rung", "ladder.column-verdict", *columns)
    table = Table(*map(message, heads), box=None, pad_edge=False)
    for step in climbed:
        cells = [cell for name in figures for cell in (_ours(step, name), _promised(ladder, step, name))]
        table.add_row(
            escape(step.rung.name), step.walk.leaf or message(f"ladder.verdict-{step.walk.verdict}"), *cells
        )
    return table


def _ours(step: Climbed, name: str) -> str:
    if name == "loss":
        return f"{step.loss:.2f} ({step.loss / step.chance:.0%})"
    if name == "grad_norm":
        return f"{step.grad_norm:.2f}"
    return f"{step.seconds:.0f} s" if name == "minutes" else f"{getattr(step, name):.2f} ×"


def _promised(ladder: Ladder, step: Climbed, name: str) -> str:
    if name not in step.rung.promised:
        return "–"
    figure = step.rung.promised[name]
    if name == "loss":
        low, high = figure
        shares = f" ({low / ladder.chance:.0%}–{high / ladder.chance:.0%})" if ladder.chance else ""
        return f"{low:g}–{high:g}{shares}"
    shown = {"grad_norm": f"< {figure:g}", "minutes": f"{figure:g} min"}
    return shown.get(name, f"{figure:g} ×")
