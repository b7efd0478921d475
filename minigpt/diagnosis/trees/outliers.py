"""Values out of the ordinary, and learning rates that leap: what both trees ask of a series.

A loss falls while a model learns, so a value is first measured from the median of the last few: its *step
up*. Its robust z is that step up in standard deviations of the steps up before it (median and MAD).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.diagnosis.trees.series import usual_before
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Event
from minigpt.runs.thresholds import (
    MAD_DEVIATIONS,
    RATE_LEAP,
    RATE_SOON,
    SPIKE_LEAST_SPREAD,
    SPIKE_RECENT,
    SPIKE_WINDOW,
    SPIKE_Z,
    START_STEPS,
)
from minigpt.training.schedule import lr_at

ENOUGH = 32  # values before a z means anything


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each value lies above what was usual before it; 0 where too little came before."""
    if len(values) <= ENOUGH:
        return np.zeros(len(values))
    level = usual_before(values, SPIKE_RECENT)
    level[~np.isfinite(level)] = values[~np.isfinite(level)]  # the first few
    ups = values - level
    middle = _finite(usual_before(ups, SPIKE_WINDOW))
    spread = MAD_DEVIATIONS * _finite(usual_before(np.abs(ups - middle), SPIKE_WINDOW))
    z = (ups - middle) / np.maximum(np.maximum(spread, SPIKE_LEAST_SPREAD * np.abs(level)), 1e-12)
    z[:ENOUGH] = 0.0
    return z


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, 0.0)


class Leap(NamedTuple):
    """A learning rate that leapt up where no schedule asked for it, and what the loss did soon after."""

    group: str
    step: int
    rate: float
    before: float  # the rate of the step before
    z: float  # of the loss, the highest in those steps
    loss: float  # the highest


def leap_with_a_spike(evidence: Evidence) -> Leap | None:
    """Return the first such leap that a spike of the loss follows, or None."""
    steps, losses = evidence.metrics.column("loss")
    if len(losses) <= ENOUGH:
        return None
    z = robust_z(np.where(np.isfinite(losses), losses, np.nan_to_num(losses).max()))
    apart = max(1.0, float(np.median(np.diff(steps))))  # steps from one row of a log to the next
    for column in evidence.metrics.names():
        if not column.startswith("lr."):
            continue
        at, rates = evidence.metrics.column(column)
        before = rates[:-1]
        leaps = np.flatnonzero((before > 0) & (rates[1:] > RATE_LEAP * before)) + 1
        for place in leaps.tolist():
            step = int(at[place])
            if step <= START_STEPS or _asked_for(evidence, step, rates[place], rates[:place]):
                continue
            soon = (steps >= step) & (steps <= step + RATE_SOON * apart)
            if soon.any() and z[soon].max() >= SPIKE_Z:
                group = column.removeprefix("lr.")
                figures = float(rates[place]), float(rates[place - 1])
                return Leap(group, step, *figures, float(z[soon].max()), float(losses[soon].max()))
    return None


def held_by_a_guard(evidence: Evidence) -> dict[int, Event]:
    """Return the decisions that scaled the rate of one step alone, by step."""
    return {event.step: event for event in evidence.events if event.scale_step is not None}


def scaled_by_guards(evidence: Evidence, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by what guards had scaled the schedule at each of these steps."""
    at, scales = evidence.metrics.column("lr_scale")
    known = dict(zip(at.tolist(), scales.tolist(), strict=True))
    return np.array([known.get(step, 1.0) for step in steps.tolist()])


def _asked_for(evidence: Evidence, step: int, rate: float, earlier: NDArray[np.float64]) -> bool:
    """Return whether the schedule leaps there too; of one that nobody declared, whether it is no new top."""
    config = evidence.config
    if config is None or config.schedule is None:
        return bool(rate <= 1.05 * earlier.max())
    if isinstance(config, Config):
        was, asked = (lr_at(at, config) for at in (step - 1, step))
    else:
        was, asked = config.rates(np.array([step - 1, step])).tolist()
    return asked > RATE_LEAP / 2 * was
