"""From the rows of a log to columns: which are ours, at which step each row stands, and what is refused.

    collector = Collector(path, {"loss": "train/loss"}, notes)
    collector.add(1, {"step": 0, "train/loss": 4.16})
    columns = collector.columns()

Rows that name no step are counted, from one training loss to the next; where the log says how many steps lie
between two, or draws a progress bar, its own count is taken.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.messages import nearest
from minigpt.runs.importers.names import (
    BAR,
    EPOCH,
    GROUP_RATE,
    NAMES,
    OF,
    OTHER_COUNTS,
    RUNS,
    SAME,
    ExternalLogError,
    exported,
    matters,
    plain,
    same,
)
from minigpt.runs.importers.notes import Notes
from minigpt.runs.importers.order import in_order, in_turn
from minigpt.runs.importers.units import BITS, in_nats, unit_of
from minigpt.runs.jsonl import Columns
from minigpt.runs.thresholds import NO_LOSS

MISSING = {"", "na", "n/a", "none", "null", "-", "--", "no log", "n.a.", "nil"}
FAR = 2**53  # beyond this a step is no exact number
UNCOUNTED = -1  # the step of a row that names none
PART = re.compile(r"\s*[\d,]+\s*/\s*[\d,]+\s*$")  # “10/500”
UNIT = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
DISTINCT = 0.9  # share of rows that a progress bar tells apart, where it counts them
FEWEST = 3  # rows of which more than one epoch is made
FEW = 0.2  # of the values of another column: too few for the loss of a run
ADDED = {BAR, OF, SAME}
LOSSES = ("loss", "val_loss")
STAGE = "stage"


class Collector:
    """Keeps the numbers of the columns that matter, in the order written."""

    def __init__(self, path: Path, asked: dict[str, str], notes: Notes):
        self._path, self._asked, self._notes = path, asked, notes
        self._ours: dict[str, tuple[str, int] | None] = {}  # a log's column to our name and how sure that is
        self._steps = array("q")  # of every row
        self._values: dict[str, tuple[array, array]] = {}  # rows, values
        self._run: object = None
        self._counter = ""  # the column that named the last step
        self._bars, self._epochs = array("q"), array("d")  # of rows that name no step
        self._fits = 0  # rows that name one
        self._in_epoch: tuple[int, float | None, int | None] = 0, None, None  # step, epoch, steps of an epoch
        self._apart = 0  # steps from one row to the next
        self._before = 0  # steps of the epochs before, where each restarts
        self._wrong: tuple[object, str, Any] | None = None  # the first step that is none

    def _resolve(self, column: str) -> tuple[str, int] | None:
        if column in ADDED:
            return column, 0
        for name, given in self._asked.items():
            if same(column, given):
                return name, -1
        called = plain(column)
        for name, known in NAMES.items():
            if name not in self._asked and called in known:
                return name, known.index(called)
        if (parts := exported(column)) is not None and any(
            plain(parts[1]) in known for known in NAMES.values()
        ):
            self._one_run(column, parts[0])
            return self._resolve(parts[1])
        if "lr" not in self._asked and GROUP_RATE.fullmatch(called):
            return f"lr.{column}", 0
        if called == EPOCH or called in RUNS:
            return called, 0
        self._notes.unused[column] = None
        told = unit_of(called)
        return None if told is None else (":".join(told), called.count("_"))

    def add(self, place: object, row: Mapping[str, Any]) -> None:
        """Take one row; `place` is where it stands, for an error."""
        found: dict[str, Any] = {}
        more: dict[str, Any] = {}  # epoch, and what the reader of printed lines adds
        counter, count, sure = "", None, math.inf
        for column, value in row.items():
            if column not in self._ours:
                self._ours[column] = self._resolve(column)
            resolved = self._ours[column]
            if resolved is None:
                continue
            if resolved[0] == "step":
                if resolved[1] < sure and (number := self._count(place, column, value)) is not None:
                    counter, count, sure = column, number, resolved[1]
            elif resolved[0] == EPOCH or resolved[0] in ADDED:
                more[resolved[0]] = value
            elif resolved[0] in RUNS:
                self._one_run(column, value)
            elif resolved[0] == STAGE and not str(value).strip().isdecimal():
                continue  # “stage: train” tells of no stage
            else:
                found[column] = value
        if not found and count is None:
            return
        step = UNCOUNTED if count is None else self._whole(place, counter, count)
        if step is None:
            return
        numbers = {c: n for c, v in found.items() if (n := self._number(place, c, v)) is not None}
        epoch = self._epoch(more)
        if step != UNCOUNTED:
            step = self._over_epochs(counter, step, epoch, more.get(OF))
            self._fits += 1
        elif not self._uncounted(numbers, epoch, more):
            return
        for column, number in numbers.items():
            if column not in self._values:
                self._values[column] = array("I"), array("d")
            rows, values = self._values[column]
            rows.append(len(self._steps))
            values.append(number)
        self._steps.append(step)

    def _epoch(self, more: Mapping[str, Any]) -> float | None:
        try:
            return float(str(more[EPOCH]).partition("/")[0]) if EPOCH in more else None
        except ValueError:
            return None

    def _uncounted(self, numbers: Mapping[str, float], epoch: float | None, more: Mapping[str, Any]) -> bool:
        """Take note of a row that names no step; a training loss, or a validation loss, makes it a row."""
        names = {self._ours[column][0].partition(":")[0] for column in numbers}
        if names.isdisjoint(LOSSES):
            return False
        self._bars.append(int(more[BAR]) if BAR in more else UNCOUNTED)
        self._epochs.append(math.nan if epoch is None else epoch)
        if SAME in more:
            self._epochs[-1] = -math.inf  # stands with the row before
        return True

    def _count(self, place: object, column: str, value: Any) -> float | None:
        if isinstance(value, str) and PART.match(value):
            whole, _, total = value.replace(",", "").partition("/")
            self._notes.total = int(total)
            return float(whole)
        return self._number(place, column, value)

    def _number(self, place: object, column: str, value: Any) -> float | None:
        if type(value) is float:  # as nearly all are
            return value
        if value is None:
            return None
        if isinstance(value, str) and value.strip().lower() in MISSING:
            return None
        if not isinstance(value, bool | list | dict):
            try:
                return float(value)
            except (ValueError, OverflowError):
                pass
        self._notes.skip(place)
        return None

    def _one_run(self, column: str, value: Any) -> None:
        if value not in (None, "", self._run):
            if self._run is not None:
                raise ExternalLogError("external.runs-mixed", path=self._path, column=column)
            self._run = value

    def _over_epochs(self, column: str, step: int, epoch: float | None, of: Any) -> int:
        """Return the step over the whole run, where a log restarts its count in each epoch."""
        last, last_epoch, last_of = self._in_epoch
        if last_epoch is None and epoch == 1 and step < last:
            last_epoch = 0.0  # a bar that begins again: only then it shows that it was one of an epoch
        if epoch is not None and last_epoch is not None:
            ends = step == last and of is not None and int(of) == step  # a row for each epoch, at its end
            if epoch >= last_epoch + 1 and (step < last or ends):
                self._before += (last_of or last + max(self._apart, 1)) * int(epoch - last_epoch)
            elif epoch <= last_epoch - 1 and step < last and self._before:
                self._before = 0  # another run
        if of is not None and not self._before and epoch is None:
            self._notes.total = int(of)
        if epoch is not None or last_epoch is None:
            self._apart = step - last if step > last else self._apart
            self._in_epoch = step, epoch, int(of) if of is not None and epoch is not None else None
        return step + self._before

    def _whole(self, place: object, column: str, number: float) -> int | None:
        if number.is_integer() and 0 <= number < FAR:
            return int(number)
        if self._wrong is None:
            self._wrong = place, column, number
        self._notes.skip(place)
        return None

    def columns(self) -> Columns:
        """Return one column for each of our names, its steps in order, the last of every step."""
        for name, given in self._asked.items():
            if name not in {resolved[0] for resolved in self._ours.values() if resolved}:
                hint = nearest(given, self._ours)
                raise ExternalLogError("external.no-column", path=self._path, column=given, hint=hint)
        if not self._ours:
            raise ExternalLogError("external.no-rows", path=self._path)
        names = ", ".join(name[:40] for name in list(self._ours)[:12] if name not in ADDED)
        if not self._steps:
            if self._wrong is not None:
                place, column, value = self._wrong
                raise ExternalLogError(
                    "external.bad-step", path=self._path, place=place, column=column, value=value
                )
            raise ExternalLogError("external.no-steps", path=self._path, names=names)
        self._drop_means()
        if not self._values:
            raise ExternalLogError("external.no-metrics", path=self._path, names=names)
        best = self._best()
        for column in self._values:
            if column not in best.values() and matters(column, self._asked):
                self._notes.unused[column] = None
        for column in [c for c in self._notes.unused if set(plain(c).split("_")) <= OTHER_COUNTS | {""}]:
            del self._notes.unused[column]
        series = self._in_nats(best)
        if not series:
            raise ExternalLogError("external.no-metrics", path=self._path, names=names)
        steps = self._counted(series)
        if "loss" in series:
            rows, values = (np.asarray(side) for side in series["loss"])
            if (found := in_turn(steps[rows], values)) is not None:
                step, first, second = found
                raise ExternalLogError(
                    "external.interleaved", path=self._path, step=step, first=first, second=second
                )
        return in_order(steps, series, self._notes)

    def _counted(self, series: dict[str, tuple[array, array]]) -> np.ndarray:
        """Return the step of each row, those that name none counted."""
        steps = np.asarray(self._steps)
        rows = np.asarray(series["loss"][0]) if "loss" in series else steps[:0]
        if len(rows) > FEWEST and steps[rows[0]] != UNCOUNTED and (steps[rows] == steps[rows[0]]).all():
            self._notes.counted = "rows"  # each row names the last step of its epoch
            begins = np.zeros(len(steps), np.int64)
            begins[rows] = 1
            return np.maximum(np.cumsum(begins), 1)
        none = steps == UNCOUNTED
        if not none.any():
            return steps
        if self._fits:  # a validation loss between rows with steps belongs to the row before
            at = np.maximum.accumulate(np.where(none, -1, np.arange(len(steps))))
            return np.where(at >= 0, steps[at.clip(min=0)], 0)
        return self._counted_rows(len(steps), series)

    def _drop_means(self) -> None:
        """Leave out training losses without a step among rows that have one, as the mean of an epoch is."""
        none = np.asarray(self._steps) == UNCOUNTED
        if not self._fits or not none.any():
            return
        training = np.zeros(len(none), bool)
        for column, (rows, _) in self._values.items():
            if self._ours[column][0] == "loss":
                training[np.asarray(rows)] = True
        kept = [~(none & training)[np.asarray(rows)] for rows, _ in self._values.values()]
        if not any(keep.any() for keep in kept):
            return  # they are all there is
        for column, (rows, values) in list(self._values.items()):
            keep = ~(none & training)[np.asarray(rows)]
            if not keep.any():
                del self._values[column]
            elif not keep.all():
                rows, values = np.asarray(rows)[keep], np.asarray(values)[keep]
                self._values[column] = array("I", rows.tolist()), array("d", values.tolist())

    def _best(self) -> dict[str, str]:
        """Return the column that stands for each of our names: the surest of those with the most values."""
        best: dict[str, str] = {}
        for column in sorted(self._values, key=lambda column: self._ours[column][1]):
            name, _ = self._ours[column]
            count = len(self._values[column][0])
            taken = best.get(name)
            if taken is None:
                best[name] = column
                continue
            asked = self._ours[taken][1] < 0
            few = len(self._values[taken][0]) < FEW * count
            fills = self._is_nothing(taken) and not self._is_nothing(column)
            fills |= self._is_sum(taken) and not self._is_sum(column)
            if not asked and (few or fills):
                best[name] = column
        return {self._ours[column][0]: column for column in self._values if column in best.values()}

    def _is_nothing(self, column: str) -> bool:
        """Return whether a column is NaN throughout, as one that a progress bar has and nobody fills."""
        return all(map(math.isnan, self._values[column][1]))

    def _is_sum(self, column: str) -> bool:
        """Return whether a loss is too large for one token, as the sum over a batch is."""
        known = [value for value in self._values[column][1] if math.isfinite(value)]
        return self._ours[column][0] in LOSSES and bool(known) and float(np.median(known)) > NO_LOSS

    def _in_nats(self, best: dict[str, str]) -> dict[str, tuple[array, array]]:
        """Return the series by our names, with losses in nats that the log tells in another unit alone."""
        series = {name: self._values[column] for name, column in best.items() if ":" not in name}
        if series.keys() & {*LOSSES}:
            return series  # beside a loss another unit says nothing more
        for name, column in best.items():
            loss, colon, unit = name.partition(":")
            if colon and loss not in series:
                rows, values = self._values[column]
                series[loss] = rows, array("d", in_nats(unit, values).tolist())
                self._notes.unit = unit if self._notes.unit != BITS else BITS
                del self._notes.unused[column]
        return series

    def _counted_rows(self, count: int, series: dict[str, tuple[array, array]]) -> np.ndarray:
        ours = series.get("loss") or series["val_loss"]
        counts = np.zeros(count, np.int64)
        counts[np.asarray(ours[0])] = 1
        epochs, bars = np.asarray(self._epochs), np.asarray(self._bars)
        counts[np.isneginf(epochs)] = 0  # said twice
        epochs = np.where(np.isneginf(epochs), np.nan, epochs)
        known = np.flatnonzero(~np.isnan(epochs))
        begins = known[1:][(epochs[known[1:]] < 0.5 * epochs[known[:-1]])]  # another run, from its start
        at = np.maximum(np.cumsum(counts), 1)
        for begin in begins:
            at[begin:] -= at[begin] - 1
        trained = bars[counts == 1]
        if len(trained) > 2 and (trained > 0).all() and len(np.unique(trained)) >= DISTINCT * len(trained):
            self._notes.counted = "bars"
            return np.maximum(bars, 1)
        self._notes.counted = "rows"
        spacing = self._notes.spacing
        if spacing is None and self._notes.total and self._notes.epochs and len(known) > 1:
            apart = np.median(np.diff(epochs[counts == 1])) if (counts == 1).sum() > 2 else math.nan
            steps = self._notes.total / self._notes.epochs * apart
            spacing = self._notes.spacing = max(1, round(steps)) if np.isfinite(steps) else None
        return at * (spacing or 1)
