"""Putting the columns of an external log in order: by step, each step once, without what a restart took back.

    columns = in_order(steps_of_rows, {"loss": (rows, values)})

Some tens of millions of rows are usual here, so arrays are shared wherever nothing has to be moved.
"""

from __future__ import annotations

from array import array

import numpy as np

from minigpt.runs.importers.notes import Notes
from minigpt.runs.jsonl import Columns

STRETCH = 10  # rows that show that a log goes on,
TURNS = 0.2  # share of rows at which a log turns back, where two runs write in turn
APART, SAME_SIDE = 0.03, 0.97  # losses of two runs that keep step: how far, and in how many steps
DIFFERENT = 0.005  # values of one step that come from two runs
ANEW = 3  # and that it restarts, for no stray row comes back to the very first step


def in_order(every: np.ndarray, series: dict[str, tuple[array, array]], notes: Notes) -> Columns:
    """Return one column for each name, its steps in order, the last value of every step.

    Nothing is copied of a column that has a value in every row, in order, as in most logs.

    Args:
        every: (rows,) the step of each row of the log, as it was written.
        series: by name, the rows that have a value, in ascending order, and the values.
        notes: takes down how many runs there are, one after another.
    """
    raw = {}
    for name, (at, values) in series.items():
        rows = np.asarray(at)
        raw[name] = rows, every if len(rows) == len(every) else every[rows], np.asarray(values)
    restarts = _restarts(*raw["loss"][:2]) if "loss" in raw else []
    if restarts:
        first = int(raw["loss"][1].min())
        notes.runs += sum(step <= first for _, step in restarts)
    kept = {name: _settled(*parts, restarts) for name, parts in raw.items()}
    if notes.counted != "rows" and _counted_from_one(kept):
        from_zero = {id(steps): steps - 1 for steps, _ in kept.values()}
        kept = {name: (from_zero[id(steps)], values) for name, (steps, values) in kept.items()}
    steps = _all_steps([steps for steps, _ in kept.values()])
    named = {"lr.all" if name == "lr" else name: pair for name, pair in kept.items()}
    return Columns.of({"step": (steps, steps.astype(np.float64)), **named})


def _restarts(rows: np.ndarray, steps: np.ndarray) -> list[tuple[int, int]]:
    """Return row and step of every place where the log goes back to an earlier step and continues there.

    A few rows that turn back and leave more behind are rows out of place: a last record that names the best
    step, a damaged digit, or a log in no order must not take back the end of a run.
    """
    turns = np.flatnonzero(steps[1:] < steps[:-1]) + 1
    if not len(turns):
        return []
    which = np.flatnonzero(np.isin(steps, steps[turns]))
    _, first, inverse = np.unique(steps[which], return_index=True, return_inverse=True)
    begun = which[first[inverse]][np.searchsorted(which, turns)]  # where such a step was logged first
    ordered = (begun == 0) | (np.maximum.accumulate(steps)[begun - 1] < steps[turns])  # up to there
    follow = np.diff(turns, append=len(steps))  # rows in order, up to where the log turns again
    enough = np.where(begun == 0, ANEW, STRETCH)
    at = turns[ordered & (begun < turns) & (follow >= np.minimum(enough, turns - begun - follow))]
    return list(zip(rows[at].tolist(), steps[at].tolist(), strict=True))


def in_turn(steps: np.ndarray, values: np.ndarray) -> tuple[int, float, float] | None:
    """Return a step and two of its values where several runs write to one log in turn; None where one does.

    Ranks of one run print a step one after another, and losses that are close; two runs are at other steps,
    and turn back and forth all the time.
    """
    if (found := _in_lockstep(steps, values)) is not None:
        return found
    back = np.flatnonzero(steps[1:] < steps[:-1])
    if len(back) < max(10, TURNS * len(steps)):
        return None
    order = np.argsort(steps, kind="stable")
    again = np.flatnonzero(steps[order][1:] == steps[order][:-1])
    apart = (order[again + 1] - order[again] > 1) & (
        np.abs(values[order[again + 1]] - values[order[again]]) > DIFFERENT * np.abs(values[order[again]])
    )
    if apart.sum() < max(5, TURNS * len(steps) / 2):
        return None
    at = again[apart][0]
    return int(steps[order[at]]), float(values[order[at]]), float(values[order[at + 1]])


def _in_lockstep(steps: np.ndarray, values: np.ndarray) -> tuple[int, float, float] | None:
    """Return a step and two of its values where every step stands twice, one of them always the higher.

    Ranks of one run see other data, so now one loss is higher and now the other.
    """
    twice = np.flatnonzero(steps[1:] == steps[:-1])
    if len(twice) < 20 or len(twice) != len(np.unique(steps[twice])) or 2 * len(twice) < 0.9 * len(steps):
        return None
    first, second = values[twice], values[twice + 1]
    apart = (first - second) / np.maximum(np.abs(first), np.abs(second)).clip(min=1e-12)
    later = apart[len(apart) // 5 :]  # two runs of one seed begin alike
    if not np.isfinite(later).all() or np.median(np.abs(later)) < APART:
        return None
    same_side = max((later > 0).mean(), (later < 0).mean())
    at = len(first) - len(later) + int(np.abs(later).argmax())
    return (int(steps[twice[at]]), float(first[at]), float(second[at])) if same_side > SAME_SIDE else None


def _settled(
    rows: np.ndarray, steps: np.ndarray, values: np.ndarray, restarts: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Drop what a later restart took back, sort by step, and keep the last value of every step."""
    gaps = np.isnan(values)
    if gaps.any():  # a NaN beside a number of the same step is a logger's word for a gap
        keep = ~gaps | ~np.isin(steps, steps[~gaps])
        rows, steps, values = rows[keep], steps[keep], values[keep]
    if restarts:
        at, to = (np.array(side) for side in zip(*restarts, strict=True))
        lowest = np.concatenate([np.minimum.accumulate(to[::-1])[::-1], [np.iinfo(np.int64).max]])
        keep = steps < lowest[np.searchsorted(at, rows, side="right")]
        steps, values = steps[keep], values[keep]
    if (steps[1:] > steps[:-1]).all():
        return steps, values
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    last = np.concatenate([steps[1:] != steps[:-1], [True]])
    return steps[last], values[last]


def _counted_from_one(series: dict[str, tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether every step is logged, the first of them as step 1."""
    steps = series["loss"][0] if "loss" in series else np.empty(0)
    return len(steps) > 1 and steps[0] == 1 and steps[1] == 2


def _all_steps(sides: list[np.ndarray]) -> np.ndarray:
    """Return every step of several sorted columns; the longest of them itself where it has them all."""
    longest = max(sides, key=len)
    others = [steps[~_among(steps, longest)] for steps in sides if steps is not longest]
    missing = np.unique(np.concatenate([longest[:0], *others]))
    return np.union1d(longest, missing) if len(missing) else longest


def _among(steps: np.ndarray, known: np.ndarray) -> np.ndarray:
    return known[np.searchsorted(known, steps).clip(max=len(known) - 1)] == steps
