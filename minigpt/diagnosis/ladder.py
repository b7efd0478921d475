"""Climbing a ladder: train each rung, walk the trees over it, stop at the first that breaks.

for step in climb(load_ladder("seed-001"), "experiments/ladder"):
    print(step.rung.name, step.walk.verdict)
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.config import Config
from minigpt.config.ladders import Ladder, Rung
from minigpt.diagnosis.tree import Verdict
from minigpt.diagnosis.walker import Walk, walk
from minigpt.faults import refuse_idle
from minigpt.runs.evidence import evidence_of
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, train

LAST = 20  # steps whose loss is averaged, at either end
SWING = 50  # steps in which the loss swings


@dataclass(frozen=True)
class Climbed:
    """A rung that was trained."""

    rung: Rung
    path: Path
    walk: Walk
    loss: float  # nats per token, mean of the last steps
    chance: float  # ln V
    grad_norm: float  # median of the run
    seconds: float
    steps: int
    fall: float  # nats that the loss falls in a step, from its first steps to its last
    swing: float  # of the loss, see `swing`
    first: Climbed | None = None  # the lowest rung

    @property
    def speedup(self) -> float:
        """Loss that falls in a step, × the first rung's."""
        return self.fall / (self.first or self).fall

    @property
    def speed(self) -> float:
        """Steps a second, × the first rung's."""
        first = self.first or self
        return (self.steps / self.seconds) / (first.steps / first.seconds)

    @property
    def broke(self) -> bool:
        """Whether the trees found a fault."""
        return self.walk.verdict in (Verdict.FAIL, Verdict.UNKNOWN)

    def as_data(self) -> dict[str, Any]:
        """Return the figures beside the promised ones, as plain data."""
        figures = {
            name: getattr(self, name) if math.isfinite(getattr(self, name)) else None
            for name in ("loss", "chance", "grad_norm", "seconds", "swing", "speedup", "speed")
        }
        return {
            "rung": self.rung.name,
            "phase": self.rung.phase,
            "added": dict(self.rung.add),
            "fault": self.rung.fault,
            "run": str(self.path),
            "verdict": self.walk.verdict.value,
            "leaf": self.walk.leaf,
            **figures,
            "promised": dict(self.rung.promised),
        }


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
    first: Climbed | None = None
    planned = [
        (rung, _recipe(config, (*faults, *own))) for rung, config, own in ladder.configs(given)
    ]  # before anything trains: what would be refused on a high rung is said at once
    for number, (rung, recipe) in enumerate(planned):
        path = Path(folder) / f"{number:02}-{re.sub(r'[^a-z0-9]+', '-', rung.name.lower()).strip('-')}"
        climbed = _climbed(rung, recipe, path, first)
        first = first or climbed
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


def _climbed(rung: Rung, recipe: Recipe, path: Path, first: Climbed | None) -> Climbed:
    started = time.perf_counter()
    try:
        train(recipe, path)
    except NotFiniteError:
        pass  # the walk says where it began
    seconds = time.perf_counter() - started
    evidence = evidence_of(path)
    losses, norms = (evidence.metrics.column(name)[1].tolist() for name in ("loss", "grad_norm"))
    return Climbed(
        rung,
        path,
        walk(evidence, whole=True),
        loss=statistics.fmean(losses[-LAST:]),
        chance=math.log(recipe.config.vocab_size),
        grad_norm=statistics.median(norms),
        seconds=seconds,
        steps=len(losses),
        fall=(statistics.fmean(losses[:LAST]) - statistics.fmean(losses[-LAST:])) / len(losses),
        swing=swing(losses),
        first=first,
    )


def swing(losses: Sequence[float]) -> float:
    """Return the largest 98th ÷ 2nd percentile of the loss over 50 steps, its straight-line trend taken out.

    The first 50 steps, in which every loss falls, are left out where the run is longer than 100. Without its
    trend a burst's low side can be negative; there the lowest loss as it was takes its place. NaN where a
    loss is not finite.
    """
    values = np.asarray(losses, float)
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    starts = range(SWING, len(values) - SWING + 1, SWING // 2) or [max(0, len(values) - SWING)]
    found = []
    for start in starts:
        part = values[start : start + SWING]
        x = np.arange(len(part))
        flat = part - np.polyval(np.polyfit(x, part, 1), x) + part.mean()
        low, high = np.percentile(flat, [2, 98])
        found.append(high / max(low, part.min()))
    return float(max(found))
