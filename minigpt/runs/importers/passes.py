"""Counting the epochs of a progress bar that begins again with each and names none.

passes = Passes()
passes.after(200, 200, {"loss": "5.1"})    # 0
passes.after(1, 200, {"loss": "5.0"})      # 1: the loss goes on, so it is the next epoch and no new run
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from minigpt.runs.importers.names import NAMES, plain

WHOLE = 0.9  # share of a bar after which it was through


class Passes:
    """Remembers where the bar stood, and the loss at the first and the last of its rows."""

    def __init__(self) -> None:
        self._count = self._at = self._total = 0
        self._first = self._last = math.nan

    def after(self, at: int, total: int, row: Mapping[str, str]) -> int:
        """Return how many times the bar has begun again, this row included."""
        loss = _loss_of(row)
        if total != self._total:
            self._count, self._first, self._total = 0, loss, total
        elif at < self._at:
            through = self._at >= WHOLE * total
            goes_on = abs(loss - self._last) < abs(
                loss - self._first
            )  # another run starts where this one did
            self._count = self._count + 1 if through and goes_on else 0
            self._first = self._first if through and goes_on else loss
        self._at, self._last = at, self._last if math.isnan(loss) else loss
        return self._count


def _loss_of(row: Mapping[str, str]) -> float:
    """Return the surest training loss of a row; NaN where it has none."""
    known = [name for name in row if plain(name) in NAMES["loss"]]
    try:
        return float(row[min(known, key=lambda name: NAMES["loss"].index(plain(name)))])
    except ValueError:  # none, or no number after all
        return math.nan
