"""What is usual in a series just before each value, and how many values are far above it at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from minigpt.runs.thresholds import MAD_DEVIATIONS

LEAST = 10  # values that show what is usual
MARKS = 2048  # medians of a long run that are enough


def usual_before(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return, for each value, the median of those before it; infinite for the first ten, which have too few.

    So a run whose norms die down from a high start has no spike there.
    """
    every = max(1, len(values) // MARKS)
    marks = np.arange(0, len(values), every)
    medians = np.full(len(marks), np.inf)
    for place, at in enumerate(marks.tolist()):
        if LEAST <= at < window:
            medians[place] = np.median(values[:at])
    full = marks >= window
    if full.any():
        windows = np.lib.stride_tricks.sliding_window_view(values, window)[marks[full] - window]
        medians[full] = np.median(windows, axis=1)
    return np.repeat(medians, every)[: len(values)]


def usual_after(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return, for each value, the median of those behind it; the last ten, which have too few, share one."""
    medians = np.flip(usual_before(np.flip(values), window))
    known = medians[np.isfinite(medians)]
    return np.where(np.isfinite(medians), medians, known[-1] if len(known) else 0.0)


def noise_of(values: NDArray[np.float64], order: int = 1) -> float:
    """Return the standard deviation of the noise on a smooth curve, by the differences of neighbours.

    A difference of that order adds up as much noise as there are ways to choose it: √2 of it, or √6 of the
    second order, which leaves a slope out.
    """
    differences = np.abs(np.diff(values, order))
    return MAD_DEVIATIONS * float(np.median(differences)) / math.sqrt(math.comb(2 * order, order))


def most_in_a_window(steps: NDArray[np.int64], which: NDArray[np.bool_], window: int) -> int:
    """Return how many of the values `which` stand within as many steps; rows, where a row is many steps."""
    at = np.flatnonzero(which)
    if len(steps) > 1 and np.median(np.diff(steps)) <= 1:
        at = steps[at]
    ends = np.searchsorted(at, at + window)
    return int((ends - np.arange(len(at))).max(initial=0))
