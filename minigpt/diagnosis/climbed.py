"""One rung of a ladder that was trained, and its figures: each is also what a promise of that name is about.

step.loss           # nats per token, mean of the last 20 steps
step.figure("gain") # as printed beside what was promised
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.config.ladders import BY_STEP, PROMISED, Rung
from minigpt.diagnosis.tree import Verdict
from minigpt.diagnosis.walker import Walk

LAST = 20  # steps whose loss is averaged, at either end
SWING = 50  # steps in which the loss swings


@dataclass(frozen=True)
class Climbed:
    """A rung that was trained."""

    rung: Rung
    path: Path
    walk: Walk
    losses: Sequence[float]  # nats per token, by step
    norms: Sequence[float]  # of the gradient, by step
    times: Sequence[float]  # seconds, by step, without evaluations
    val_loss: float  # the last one, in nats per token
    accuracy: float  # share of next tokens that are ranked first, on the validation side, at the end
    lowest_rate: float  # ÷ lr_max: of the group that learns slowest, in the last step
    chance: float  # ln V
    seconds: float  # from the building of the model to the end, evaluations and checkpoints included
    first: Climbed | None = None  # the lowest rung
    below: Climbed | None = None  # the rung before

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return len(self.losses)

    @property
    def loss(self) -> float:
        """Nats per token, mean of the last steps."""
        return statistics.fmean(self.losses[-LAST:])

    @property
    def grad_norm(self) -> float:
        """Median of the run."""
        return statistics.median(self.norms)

    @property
    def fall(self) -> float:
        """Nats that the loss falls in a step, from its first steps to its last."""
        return (statistics.fmean(self.losses[:LAST]) - self.loss) / self.steps

    @property
    def swing(self) -> float:
        """Of the loss, see `swing`."""
        return swing(self.losses)

    @property
    def speedup(self) -> float:
        """Loss that falls in a step, × the first rung's."""
        return self.fall / (self.first or self).fall

    @property
    def pace(self) -> float:
        """Steps a second, evaluations and checkpoints included."""
        return self.steps / self.seconds

    @property
    def speed(self) -> float:
        """Steps a second, × the first rung's."""
        return self.pace / (self.first or self).pace

    @property
    def slower(self) -> float:
        """Time of the usual step, × that of the rung before."""
        return statistics.median(self.times) / statistics.median((self.below or self).times)

    @property
    def faster(self) -> float:
        """The same the other way round."""
        return 1 / self.slower

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest loss, without the first 50 steps where the run is longer than 100."""
        later = self.losses[SWING:] if self.steps > 2 * SWING else self.losses
        return min(later), max(later)

    @property
    def gain(self) -> float:
        """Nats that the validation loss lies below that of the first rung."""
        return (self.first or self).val_loss - self.val_loss

    @property
    def rate_gap(self) -> float:
        """How many times lr_max the rate of the slowest group is, the other way round, in the last step."""
        return 1 / self.lowest_rate if self.lowest_rate else math.inf

    @property
    def noise(self) -> float:
        """Scatter of the gradient norm from step to step, in its mean and × the first rung's."""
        return _scatter(self.norms) / _scatter((self.first or self).norms)

    @property
    def broke(self) -> bool:
        """Whether the trees found a fault."""
        return self.walk.verdict in (Verdict.FAIL, Verdict.UNKNOWN)

    def figure(self, name: str) -> Any:
        """Return what was measured of a promised figure; of one by step, a figure for each step there is."""
        if name == "minutes":
            return self.seconds / 60
        if name not in BY_STEP:
            return getattr(self, name)
        series = self.losses if name == "loss_at" else self.norms
        return {step: series[step] for step in self.rung.promised.get(name, {}) if step < self.steps}

    def as_data(self) -> dict[str, Any]:
        """Return the figures beside the promised ones, as plain data."""
        return {
            "rung": self.rung.name,
            "phase": self.rung.phase,
            "added": dict(self.rung.add),
            "fault": self.rung.fault,
            "run": str(self.path),
            "verdict": self.walk.verdict.value,
            "leaf": self.walk.leaf,
            "chance": self.chance,
            "seconds": self.seconds,
            **{name: _finite(self.figure(name)) for name in PROMISED},
            "promised": dict(self.rung.promised),
        }


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return value if math.isfinite(value) else None


def _scatter(norms: Sequence[float]) -> float:
    """Return the standard deviation between neighbours in the later half ÷ the mean there."""
    later = np.asarray(norms[len(norms) // 2 :], float)
    return float(np.std(np.diff(later)) / math.sqrt(2) / later.mean()) if len(later) > 2 else math.nan


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
