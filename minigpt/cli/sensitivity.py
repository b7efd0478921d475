"""`minigpt sensitivity`: train a recipe at every rate of a grid, and say how much the rate matters.

    minigpt sensitivity --steps 200
    minigpt sensitivity --steps 200 --grid 0.001,0.01,0.1 --against qk_norm=true

Exit code 0, or 3 when no run of the grid learns anything.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from minigpt.cli.parser import Arguments, Parser, UsageError, read_value
from minigpt.cli.train import add_recipe_arguments, listed, recipe_given
from minigpt.config import setting_types
from minigpt.messages import message, nearest
from minigpt.runs.run import strict

if TYPE_CHECKING:
    from minigpt.training.recipe import Recipe
    from minigpt.training.sensitivity import Curve, Outcome

GRID = "0.0003,0.001,0.003,0.01,0.03,0.1,0.3"  # of Wortsman et al., by factors of about 3
SWEPT = ("lr_max", "lr_min")  # which a second curve cannot have another value of


def add_arguments(parser: Parser) -> None:
    """Add the grid, what the second curve has in place, where the picture goes, and the recipe."""
    text = message("train.setting-help", text=message("sensitivity.grid-help"), default=GRID)
    parser.add_argument("--grid", default=GRID, metavar="LR,LR", help=text)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help=message("sensitivity.against-help"),
    )
    parser.add_argument(
        "--plot", default="sensitivity.svg", metavar="FILE", help=message("sensitivity.plot-help")
    )
    parser.add_argument("--json", action="store_true", help=message("sensitivity.json-help"))
    add_recipe_arguments(parser)


def run(arguments: Arguments) -> int:
    """Sweep once or twice, tell every run as it ends, draw, and say how much the rate matters."""
    changed = _changed(listed(arguments.against))
    from minigpt.training.picture import can_draw, refuse_path
    from minigpt.training.sensitivity import Curve, outcomes, plot, refuse_grid

    rates = _rates(arguments.grid)
    refuse_grid(rates)
    draws = not arguments.json or can_draw()
    if draws:
        refuse_path(arguments.plot)
    recipes = _recipes(recipe_given(arguments), changed)
    curves: dict[str, Curve] = {}
    for name, recipe in recipes.items():
        runs: list[Outcome] = []
        for outcome in outcomes(recipe, rates):
            runs.append(outcome)
            if not arguments.json:
                key = "run" if outcome.learnt else "run-lost"
                print(message(f"sensitivity.{key}", name=name, lr=outcome.lr, loss=outcome.loss), flush=True)
        curves[name] = Curve(tuple(runs))
    if draws:
        plot(curves, arguments.plot)
    if arguments.json:
        print(json.dumps(strict(_as_data(curves, changed)), indent=2))
    else:
        _tell(curves, arguments.plot)
    return 3 if all(curve.best is None for curve in curves.values()) else 0


def _rates(given: str) -> list[float]:
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise UsageError("sensitivity.bad-grid", given=given) from None


def _changed(given: list[str]) -> dict[str, Any]:
    """Return the settings that the second curve has in place, of texts such as "qk_norm=true"."""
    found, kinds = {}, setting_types()
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError("sensitivity.bad-against", given=text)
        if name not in kinds:
            raise UsageError("config.unknown-key", name=name, hint=nearest(name, kinds))
        if name in SWEPT:
            raise UsageError("sensitivity.swept", name=name)
        found[name] = read_value(name, kinds[name], value.strip())
    return found


def _recipes(recipe: Recipe, changed: dict[str, Any]) -> dict[str, Recipe]:
    """Return the recipe of every curve by its name.

    Raises:
        MiniGPTError: settings do not go together, or change nothing.
    """
    if not changed:
        return {message("sensitivity.as-given"): recipe}
    other = dataclasses.replace(recipe, config=recipe.config.replace(**changed))
    if other.config == recipe.config:
        raise UsageError("sensitivity.same", given=_named(changed))
    other.refuse_idle()
    before = {name: getattr(recipe.config, name) for name in changed}
    return {_named(before): recipe, _named(changed): other}


def _named(settings: dict[str, Any]) -> str:
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value for name, value in settings.items()
    }
    return ", ".join(f"{name}={value}" for name, value in texts.items())


def _as_data(curves: dict[str, Curve], changed: dict[str, Any]) -> list[dict[str, Any]]:
    settings = [{}, changed]
    return [
        {
            "name": name,
            "changed": settings[number],
            "sensitivity": curve.sensitivity,
            "best_lr": curve.best and curve.best.lr,
            "start": curve.runs[0].start,
            "lr": [run.lr for run in curve.runs],
            "loss": [run.loss for run in curve.runs],
        }
        for number, (name, curve) in enumerate(curves.items())
    ]


def _tell(curves: dict[str, Curve], plot: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(message("sensitivity.column-rate"), *map(escape, curves), box=None, pad_edge=False)
    for runs in zip(*(curve.runs for curve in curves.values()), strict=True):
        cells = [f"{run.loss:.3f}" if run.learnt else message("sensitivity.lost") for run in runs]
        table.add_row(f"{runs[0].lr:g}", *cells)
    Console(highlight=False).print(table)
    for name, curve in curves.items():
        if curve.best is None:
            print(message("sensitivity.none-learns", name=name))
        else:
            best = {"lr": curve.best.lr, "best": curve.best.loss, "start": curve.runs[0].start}
            print(message("sensitivity.found", name=name, value=curve.sensitivity, **best))
    print(message("sensitivity.drawn", plot=plot))
