"""`minigpt lr-find`: sweep the learning rate over a throw-away copy of a run, and suggest lr_max.

Beside it stands what seed 002 gives by the size of the model and the stage of the training.

Exit code 0 with a suggestion, 3 when the curve shows no descent.
"""

from __future__ import annotations

import json
import math

from minigpt.cli.parser import Arguments, Parser
from minigpt.cli.train import add_recipe_arguments, recipe_given
from minigpt.messages import message
from minigpt.runs.run import strict

GUIDE = (
    (50_000_000, 5e-4, 1e-3),
    (100_000_000, 1e-4, 5e-4),
    (math.inf, 5e-5, 1e-4),
)  # parameters below, rates
STAGES = {"fine_tuning": 5e-5, "polish": 1e-5}


def add_arguments(parser: Parser) -> None:
    """Add the sweep, where its picture goes, and the recipe."""
    for name, kind, default in (
        ("lr-start", float, 1e-5),
        ("lr-end", float, 10.0),
        ("sweep-steps", int, 200),
    ):
        text = message("train.setting-help", text=message(f"lr_find.{name}-help"), default=default)
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    parser.add_argument("--plot", default="lr-find.svg", metavar="FILE", help=message("lr_find.plot-help"))
    parser.add_argument("--json", action="store_true", help=message("lr_find.json-help"))
    add_recipe_arguments(parser)


def run(arguments: Arguments) -> int:
    """Sweep, draw, and say what to use."""
    from minigpt.model.gpt import parameter_count
    from minigpt.training.lr_finder import find_lr, plot
    from minigpt.training.picture import can_draw, refuse_path

    draws = not arguments.json or can_draw()
    if draws:
        refuse_path(arguments.plot)
    recipe = recipe_given(arguments)
    found = find_lr(recipe, arguments.lr_start, arguments.lr_end, arguments.sweep_steps)
    if draws:
        plot(found, arguments.plot)
    if arguments.json:
        print(json.dumps(strict(vars(found)), indent=2))
    elif found.suggestion is None:
        print(message("lr_find.unknown", plot=arguments.plot))
    else:
        key = "found" if found.blows_up else "found-no-blow-up"
        print(message(f"lr_find.{key}", plot=arguments.plot, **vars(found)))
        size = parameter_count(recipe.build_model(recipe.config))
        _, low, high = next(row for row in GUIDE if size < row[0])
        print(message("lr_find.guide", size=size, low=low, high=high, **STAGES))
    return 3 if found.suggestion is None else 0
