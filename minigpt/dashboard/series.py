"""Thinning: a million points to some hundreds that look the same, spikes included."""

from __future__ import annotations

from typing import Any

import numpy as np

DIGITS = 5  # significant ones: more than a screen can show


def thin(steps: np.ndarray, values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return about `points` points: the lowest and highest of every stretch, and its first gap.

    Nothing that stands out is lost, however short, and where values are not finite a gap stays. Steps come
    out in ascending order.
    """
    if (np.diff(steps) < 0).any():  # a log that several processes wrote, or that went back in time
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
    count = len(steps)
    if count <= points:
        return steps, values
    width = -(-count // max(points // 2, 1))
    padded = np.full(-(-count // width) * width, np.nan)
    padded[:count] = values
    stretches = padded.reshape(-1, width)
    finite = np.isfinite(stretches)
    first = np.arange(len(stretches)) * width
    kept = [
        first + np.where(finite, stretches, np.inf).argmin(1),
        first + np.where(finite, stretches, -np.inf).argmax(1),
        (first + (~finite).argmax(1))[~finite.all(1) & (~finite).any(1)],
        [0, count - 1],
    ]
    at = np.unique(np.concatenate(kept).astype(np.int64))
    at = at[at < count]
    return steps[at], values[at]


def as_lists(steps: np.ndarray, values: np.ndarray, positive: bool = False) -> dict[str, list[Any]]:
    """Return `x` and `y` for JSON: rounded, with null where there is nothing to draw.

    Args:
        positive: for a logarithmic axis, where 0 and below have no place.
    """
    drawn = np.isfinite(values) & (values > 0 if positive else True)
    y = [
        float(f"{value:.{DIGITS}g}") if ok else None for value, ok in zip(values.tolist(), drawn, strict=True)
    ]
    return {"x": steps.tolist(), "y": y}


def rolling_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of each value and those before it, `window` at most; NaN near what is not finite."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    missing = np.concatenate([[0], np.cumsum(~finite)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    means = (sums[end] - sums[start]) / (end - start)
    return np.where(missing[end] == missing[start], means, np.nan)
