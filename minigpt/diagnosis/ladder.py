"""Climbing a ladder: train each rung, walk the trees over it, stop at the first that breaks.

for step in climb(load_ladder("seed-001"), "experiments/ladder"):
    print(step.rung.name, step.walk.verdict)
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minigpt.config import Config
from minigpt.config.ladders import Ladder, Rung
from minigpt.diagnosis.climbed import Climbed
from minigpt.diagnosis.walker import walk
from minigpt.faults import refuse_idle
from minigpt.runs.evidence import evidence_of
from minigpt.training.accuracy import Accuracy
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, train


def climb(
    ladder: Ladder,
    folder: str | Path,
    given: Mapping[str, Any] | None = None,
    faults: Sequence[str] = (),
    to_the_top: bool = False,
) -> Iterator[Climbed]:
    """Yield each rung as it has been trained, up to the first that breaks.

    Args:
        folder: where the runs go, one a rung.
        given: settings in place of the base's.
        faults: what is broken on every rung.
        to_the_top: climb all rungs, whatever breaks.

    Raises:
        MiniGPTError: settings of a rung do not go together or have no effect, a fault would not break it, or
            a run's folder exists.
    """
    first = below = None
    planned = [
        (rung, _recipe(config, (*faults, *own))) for rung, config, own in ladder.configs(given)
    ]  # before anything trains: what would be refused on a high rung is said at once
    for number, (rung, recipe) in enumerate(planned):
        path = Path(folder) / f"{number:02}-{re.sub(r'[^a-z0-9]+', '-', rung.name.lower()).strip('-')}"
        climbed = _climbed(rung, recipe, path, first, below)
        first, below = first or climbed, climbed
        yield climbed
        if climbed.broke and not to_the_top:
            return


def _recipe(config: Config, faults: Sequence[str]) -> Recipe:
    """Return the recipe of a rung, which every fault breaks and in which every setting has an effect."""
    recipe = Recipe(config)
    for fault in faults:
        refuse_idle(recipe.faults, fault, recipe.config)
        recipe = recipe.with_fault(fault)
    recipe.refuse_idle()
    return recipe


def _climbed(rung: Rung, recipe: Recipe, path: Path, first: Climbed | None, below: Climbed | None) -> Climbed:
    started, accuracy = time.perf_counter(), Accuracy()
    try:
        train(recipe, path, [accuracy])
    except NotFiniteError:
        pass  # the walk says where it began
    seconds = time.perf_counter() - started
    evidence = evidence_of(path)
    column = evidence.metrics.column
    rates = [column(name)[1] for name in evidence.metrics.names() if name.startswith("lr.")]
    lowest = min((float(rate[-1]) for rate in rates if len(rate)), default=math.nan)
    return Climbed(
        rung,
        path,
        walk(evidence, whole=True),
        *(column(name)[1].tolist() for name in ("loss", "grad_norm", "seconds")),
        val_loss=float(column("val_loss")[1][-1]) if len(column("val_loss")[1]) else math.nan,
        accuracy=accuracy.value,
        lowest_rate=lowest / recipe.config.lr_max if recipe.config.lr_max else math.nan,
        chance=math.log(recipe.config.vocab_size),
        seconds=seconds,
        first=first,
        below=below,
    )
