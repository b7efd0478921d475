"""Leaps of a logged loss that do not come down at once: a run that begins again, or data that come round.

fresh_start(steps, losses)   # a leap back to where the run began, after which it learns all of it again
beat(steps, losses, rates)   # leaps up that return after the same number of steps
stairs(steps, losses)        # a curve that comes down in steps of one length, and hardly between them
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigpt.diagnosis.trees.series import noise_of

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

FEWEST = 5  # rows before a leap, and after it
LEARNT = 1.0  # nats below the start: less may come and go
BACK, QUIET = 0.8, 0.3  # shares of what was learnt: lost by the leap at least, by the row before it at most
SURE = 5.0  # times the noise: batches of one row may differ by what was learnt
SLOWLY = 0.5  # rows to half of the way down, of those it took the first time: a spike is over sooner
NATS, SHARE, NOISE = 0.3, 0.1, 8.0  # of a leap up: nats, of the loss, times the noise
STAYS = 0.6  # share of it that is still there in the next rows
LEAPS, MATCHED = 3, 0.8  # leaps that make a beat, and their share that a period foretells
LEAST_PERIOD = 8  # rows
GAP = 2  # rows on either side of a stair that may lie on it
DOWN, FLAT = 0.1, 0.5  # of a stair: its height in logarithms; share that may lie on the flats beside it
MOST, AT_MOST = 0.6, 1.25  # of what the loss falls from the first stair on, share of all stairs


class Beat(NamedTuple):
    """Leaps that return."""

    step: int  # of the first
    period: int  # steps
    count: int


def fresh_start(steps: Steps, losses: Floats) -> int | None:
    """Return the step at which a run leaps back to its beginning and learns again; None where none does."""
    if len(losses) < 2 * FEWEST or not np.isfinite(losses).all():
        return None
    start, best = float(losses[0]), np.minimum.accumulate(losses)
    for at in np.flatnonzero(np.diff(losses) > max(BACK * LEARNT, SURE * noise_of(losses))).tolist():
        after, learnt = losses[at + 1 :], start - float(best[at])
        if at + 1 < FEWEST or len(after) < FEWEST or learnt < LEARNT:
            continue
        back = after[0] >= best[at] + BACK * learnt and losses[at] <= best[at] + QUIET * learnt
        first = _rows_to(losses[: at + 1], start - learnt / 2)
        again = _rows_to(after, float(after[0]) - learnt / 2)
        if back and again is not None and again >= max(2, SLOWLY * (first or 0)):
            return int(steps[at + 1])
    return None


def _rows_to(losses: Floats, level: float) -> int | None:
    """Return after how many rows a curve first lies below a level."""
    below = np.flatnonzero(losses <= level)
    return int(below[0]) if len(below) else None


def beat(steps: Steps, losses: Floats, rates: Floats | None) -> Beat | None:
    """Return leaps that return after the same number of rows, where no leap of the rate explains them.

    Args:
        rates: the learning rate of each row, or None.
    """
    if len(losses) < 4 * LEAST_PERIOD or not np.isfinite(losses).all():
        return None
    up, noise = np.diff(losses), noise_of(losses, 2)
    rows = []
    for at in np.flatnonzero(up > np.maximum(np.maximum(NATS, SHARE * losses[:-1]), NOISE * noise)).tolist():
        rest, before = losses[at + 1 : at + 4], losses[max(0, at - 2) : at + 1]
        stays = len(rest) == 3 and np.median(rest) - np.median(before) > STAYS * up[at]
        if stays and (rates is None or not rates[at + 1] > 1.5 * rates[at]):
            rows.append(at + 1)
    return _on_a_beat(steps, rows)


def stairs(steps: Steps, losses: Floats) -> Beat | None:
    """Return steps down that return after the same number of rows and make up most of the fall, or None.

    At the start of each epoch the loss comes down where a model recognises the texts of the one before: to a
    share of what it was, so logarithms are looked at.
    """
    width, half, apart = LEAST_PERIOD, LEAST_PERIOD // 2, LEAST_PERIOD + 2 * GAP
    if len(losses) < 6 * width or not (np.isfinite(losses) & (losses > 0)).all():
        return None
    logs = np.log(losses)
    halves = np.median(np.lib.stride_tricks.sliding_window_view(logs, half), axis=1)
    wholes = np.median(np.lib.stride_tricks.sliding_window_view(logs, width), axis=1)
    down = wholes[:-apart] - wholes[apart:]  # from the rows before row `width + GAP + n` to those after it
    slopes = halves[: len(wholes)] - halves[half : half + len(wholes)]  # within those before, and those after
    flat = np.maximum(slopes[:-apart], slopes[apart:]) < FLAT * down
    # of the difference of two medians; the noise is as large everywhere, or it is in proportion to the loss
    noise = math.sqrt(math.pi / width) * np.minimum(
        noise_of(logs, 2), noise_of(losses, 2) / np.exp(wholes[:-apart])
    )
    rows, fallen, first = [], 0.0, None
    for at in np.flatnonzero(down > np.maximum(DOWN, SURE * noise)).tolist():
        near = slice(max(0, at - width), at + width + 1)
        beside = flat[max(0, at - GAP) : at + GAP + 1].any()
        if beside and down[at] >= down[near].max() and (not rows or at + GAP > rows[-1]):
            first = float(wholes[at]) if first is None else first
            rows.append(at + width + GAP)
            fallen += float(down[at])
    if len(rows) < LEAPS or not MOST <= fallen / max(first - float(wholes[-1]), DOWN) <= AT_MOST:
        return None
    return _on_a_beat(steps, rows)


def _on_a_beat(steps: Steps, rows: list[int]) -> Beat | None:
    """Return the rows as a beat, if one distance foretells nearly all of them."""
    for other in rows[1:]:
        period = other - rows[0]
        near = max(1, period // 12)  # rows by which noise may hide where a leap is
        foretold = [row for row in rows if row + period < len(steps) - 3]
        met = [row for row in foretold if any(abs(row + period - later) <= near for later in rows)]
        enough = len(met) + 1 >= LEAPS and len(met) >= MATCHED * len(foretold)
        if period >= LEAST_PERIOD and enough:
            apart = int(steps[rows[0] + period] - steps[rows[0]])
            return Beat(int(steps[rows[0]]), apart, len(rows))
    return None
