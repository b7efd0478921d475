"""When is a value a spike? Its distance from what was usual, in robust standard deviations.

    usual = Usual(window=128, enough=32)
    usual.distance(9.3)     # 41.0: far above; None while too little is known
    usual.add(2.2)

A loss falls while a model learns, so a value is first measured from the median of the last few: that is its
*step up*. What is usual are the median and the MAD (the median distance from the median, × 1.4826, which is
the standard deviation of normally distributed values) of the last ordinary steps up. Values may only be too
high, not too low; spikes stay out of the window, or a second one would hide behind the first.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from minigpt.runs.thresholds import MAD_DEVIATIONS, SPIKE_LEAST_SPREAD, SPIKE_RECENT


def median_distance(ordered: Sequence[float], middle: float) -> float:
    """Return the median of |value − middle| over values in ascending order, without sorting again."""
    count = len(ordered)
    return (_distance(ordered, middle, (count + 1) // 2) + _distance(ordered, middle, count // 2 + 1)) / 2


def _middle(ordered: Sequence[float]) -> float:
    """Return the median of values in ascending order."""
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _distance(ordered: Sequence[float], middle: float, k: int) -> float:
    """Return the k-th smallest |value − middle|: the k nearest values stand side by side."""
    low, high = 0, len(ordered) - k
    while low < high:
        start = (low + high) // 2
        if middle - ordered[start] > ordered[start + k] - middle:
            low = start + 1
        else:
            high = start
    return max(middle - ordered[low], ordered[low + k - 1] - middle)


class Usual:
    """The last ordinary values of a series."""

    def __init__(self, window: int, enough: int):
        """Judge by `window` steps up, and nothing before there are `enough` of them."""
        self.recent: deque[float] = deque(maxlen=SPIKE_RECENT)
        self.level = math.nan  # where the curve is: their median; NaN while there are none
        self.ups: deque[float] = deque(maxlen=window)
        self._in_order: list[float] = []  # the same, sorted: medians are asked for in every step
        self.enough = enough

    def distance(self, value: float, least: float | None = None) -> float | None:
        """Return how far `value` lies above what is usual, in robust standard deviations; −∞ if below.

        Args:
            least: below it a standard deviation means nothing; `SPIKE_LEAST_SPREAD` × the level unless given.
        """
        if len(self.ups) < self.enough:
            return None
        ups, level = self._in_order, self.level
        usual = _middle(ups)
        if value - level < usual:  # every other value: nobody asks how far
            return -math.inf
        spread = MAD_DEVIATIONS * median_distance(ups, usual)
        least = SPIKE_LEAST_SPREAD * abs(level) if least is None else least
        return (value - level - usual) / max(spread, least, 1e-12)

    def add(self, value: float) -> None:
        """Take an ordinary value into the window; one that is not finite is left out."""
        if math.isfinite(value):
            if self.recent:
                self._add_up(value - self.level)
            self.recent.append(value)
            self.level = _middle(sorted(self.recent))

    def _add_up(self, up: float) -> None:
        if len(self.ups) == self.ups.maxlen:
            del self._in_order[bisect.bisect_left(self._in_order, self.ups[0])]
        self.ups.append(up)
        bisect.insort(self._in_order, up)

    def state_dict(self) -> dict[str, Any]:
        """Return the windows as plain data."""
        return {"recent": list(self.recent), "ups": list(self.ups)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over windows."""
        for kept, given in ((self.recent, state["recent"]), (self.ups, state["ups"])):
            kept.clear()
            kept.extend(given)
        self._in_order = sorted(self.ups)
        self.level = _middle(sorted(self.recent)) if self.recent else math.nan
