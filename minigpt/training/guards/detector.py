"""When is a value a spike? Its distance from what was usual, in robust standard deviations.

    usual = Usual(window=128)
    usual.distance(9.3)     # 41.0: far above; None while too little is known
    usual.add(2.2)

What is usual are the median and the MAD (the median distance from the median, × 1.4826, which is the standard
deviation of normally distributed values) of the last ordinary values. Values may only be too high, not too
low; spikes stay out of the window, or a second one would hide behind the first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

NORMAL = 1.4826  # standard deviations in a MAD
LEAST_SPREAD = 0.01  # × the median: below this a distance in standard deviations means nothing


class Usual:
    """The last ordinary values of a series."""

    def __init__(self, window: int, enough: int):
        """Keep `window` values; judge nothing before there are `enough` of them."""
        self.values: deque[float] = deque(maxlen=window)
        self.enough = enough

    @property
    def median(self) -> float:
        """The usual value; NaN while there is none."""
        return float(np.median(self.values)) if self.values else math.nan

    def distance(self, value: float) -> float | None:
        """Return how far `value` lies above the median, in robust standard deviations."""
        if len(self.values) < self.enough:
            return None
        known = np.fromiter(self.values, float)
        median = float(np.median(known))
        spread = NORMAL * float(np.median(np.abs(known - median)))
        return (value - median) / max(spread, LEAST_SPREAD * abs(median), 1e-12)

    def add(self, value: float) -> None:
        """Take an ordinary value into the window; one that is not finite is left out."""
        if math.isfinite(value):
            self.values.append(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the window as plain data."""
        return {"values": list(self.values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a window."""
        self.values.clear()
        self.values.extend(state["values"])
