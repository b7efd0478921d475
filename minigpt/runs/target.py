"""Time to target: when a run's loss came down to a value, and if it did not, when it might.

time_to(Run("experiments/first"), 2.5)    # Target(loss=2.5, reached=True, steps=140, seconds=3.1)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minigpt.runs.run import Run

WINDOW = 20  # steps that the loss is averaged over: one lucky batch is no arrival


@dataclass(frozen=True)
class Target:
    """The steps and seconds to a loss; None where nobody knows."""

    loss: float  # nats per token
    reached: bool
    steps: int | None  # from the first one; to go on with, where it was not reached
    seconds: float | None


def time_to(run: Run, loss: float) -> Target:
    """Return when the mean training loss of `WINDOW` steps was first at most `loss`.

    Where it was not, `steps` and `seconds` are what telemetry last estimated for that target.
    """
    (_, losses), (_, seconds) = run.column("loss"), run.column("seconds")
    width = min(WINDOW, len(losses))
    means = np.convolve(losses, np.ones(width), "valid") / width if width else losses
    there = np.flatnonzero(means <= loss)
    if len(there):
        steps = int(there[0]) + width
        return Target(
            loss, True, steps, float(seconds[:steps].sum()) if len(seconds) == len(losses) else None
        )
    at, asked = run.column("target_loss")
    (when, more), (_, left) = run.column("target_steps"), run.column("target_seconds")
    known = len(at) and len(when) and len(left) and when[-1] == at[-1] and asked[-1] == loss
    return Target(loss, False, int(more[-1]) if known else None, float(left[-1]) if known else None)
