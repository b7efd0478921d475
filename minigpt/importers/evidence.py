"""From the rows of a log to evidence: which columns are ours, and what is refused."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.importers.formats import kind_of, rows_of
from minigpt.importers.names import (
    EPOCH,
    GROUP_RATE,
    NAMES,
    RUNS,
    ForeignLogError,
    counts_something_else,
    plain,
    refuse_units,
    same,
)
from minigpt.importers.order import in_order
from minigpt.messages import nearest
from minigpt.runs.evidence import Evidence
from minigpt.runs.jsonl import Columns

MISSING = {"", "na", "n/a", "none", "null", "-", "no log"}
LOGS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz", ".log", "trainer_state.json")
FAR = 2**53  # beyond this a step is no exact number


def is_foreign(path: str | Path) -> bool:
    """Whether `path` is a log for this module to read, or to refuse, and not a run directory."""
    path = Path(path)
    if path.is_dir():
        return not (path / "manifest.json").is_file() and bool(kind_of(path))
    return path.exists()


def logs_in(folder: str | Path) -> list[str]:
    """Return some files of a folder, and of the folders in it, that are logs by their name."""
    found = (file for depth in ("*", "*/*") for file in sorted(Path(folder).glob(depth)))
    return [str(file) for file in found if file.is_file() and file.name.endswith(LOGS)][:4]


def foreign_evidence(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    vocab_size: int | None = None,
    from_checkpoint: bool = False,
) -> Evidence:
    """Return what a foreign log tells.

    Args:
        columns: our name of a column to the log's; what is not named is guessed.
        vocab_size: without it, no loss can be compared with chance.
        from_checkpoint: the run did not start from fresh weights.

    Raises:
        ForeignLogError: the log cannot be read, or has no steps or no number that the check looks at.
    """
    path, asked = Path(path), dict(columns or {})
    for name in asked:
        if name not in NAMES:
            hint = nearest(name, NAMES)
            raise ForeignLogError("foreign.unknown-name", name=name, known=", ".join(NAMES), hint=hint)
    if vocab_size is not None and vocab_size < 2:
        raise ForeignLogError("foreign.bad-vocab-size", given=vocab_size)
    refuse_units(path, asked)
    collector = _Collector(path, asked)
    for place, row in rows_of(path, asked):
        collector.add(place, row)
    return Evidence(
        vocab_size=vocab_size, starts_from_checkpoint=from_checkpoint, metrics=collector.columns()
    )


def parse_mapping(text: str) -> dict[str, str]:
    """Read "step=iter,loss=train/loss".

    Raises:
        ForeignLogError: an entry is not of the form NAME=COLUMN, or one says the same again.
    """
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise ForeignLogError("foreign.bad-mapping", given=name + equals + column)
    for side in (0, 2):
        given = [pair[side].strip() for pair in pairs]
        if twice := next((entry for entry in given if given.count(entry) > 1), None):
            raise ForeignLogError("foreign.mapped-twice", given=twice)
    return {name.strip(): column.strip() for name, _, column in pairs}


class _Collector:
    """Keeps the numbers of the columns that matter, in the order written."""

    def __init__(self, path: Path, asked: dict[str, str]):
        self._path, self._asked = path, asked
        self._ours: dict[str, tuple[str, int] | None] = {}  # a log's column to our name and how sure that is
        self._steps = array("q")  # of every row
        self._values: dict[str, tuple[array, array]] = {}  # rows, values
        self._run: object = None
        self._last: tuple[int, Any] = 0, None  # step and epoch

    def _resolve(self, column: str) -> tuple[str, int] | None:
        for name, given in self._asked.items():
            if same(column, given):
                return name, -1
        called = plain(column)
        for name, known in NAMES.items():
            if name not in self._asked and called in known:
                return name, known.index(called)
        if "lr" not in self._asked and GROUP_RATE.fullmatch(called):
            return f"lr.{column}", 0
        if called == EPOCH or called in RUNS:
            return called, 0
        return None

    def add(self, place: object, row: Mapping[str, Any]) -> None:
        """Take one row; `place` is where it stands, for an error."""
        found: dict[str, Any] = {}
        counter, count, sure, epoch = "", None, math.inf, None
        for column, value in row.items():
            if column not in self._ours:
                self._ours[column] = self._resolve(column)
            resolved = self._ours[column]
            if resolved is None:
                continue
            if resolved[0] == "step":
                if resolved[1] < sure and (number := self._number(place, column, value)) is not None:
                    counter, count, sure = column, number, resolved[1]
            elif resolved[0] == EPOCH:
                epoch = value
            elif resolved[0] in RUNS:
                self._one_run(column, value)
            else:
                found[column] = value
        if count is None:
            return
        step = self._whole(place, counter, count)
        if epoch is not None:
            if step < self._last[0]:
                self._goes_on(counter, epoch)
            self._last = step, epoch
        for column, value in found.items():
            number = self._number(place, column, value)
            if number is not None:
                if column not in self._values:
                    self._values[column] = array("I"), array("d")
                rows, values = self._values[column]
                rows.append(len(self._steps))
                values.append(number)
        self._steps.append(step)

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
        raise ForeignLogError(
            "foreign.no-number", path=self._path, place=place, column=column, value=str(value)[:40]
        )

    def _one_run(self, column: str, value: Any) -> None:
        if value not in (None, "", self._run):
            if self._run is not None:
                raise ForeignLogError("foreign.runs-mixed", path=self._path, column=column)
            self._run = value

    def _goes_on(self, column: str, epoch: Any) -> None:
        """Refuse steps that restart with each epoch, which a restart from a checkpoint does not."""
        try:
            later = float(epoch) >= float(self._last[1]) + 1
        except (TypeError, ValueError):
            return
        if later:
            raise ForeignLogError("foreign.steps-of-epoch", path=self._path, column=column)

    def _whole(self, place: object, column: str, number: float) -> int:
        if not (number.is_integer() and 0 <= number < FAR):
            raise ForeignLogError(
                "foreign.bad-step", path=self._path, place=place, column=column, value=number
            )
        return int(number)

    def columns(self) -> Columns:
        """Return one column for each of our names, its steps in order, the last of every step."""
        for name, given in self._asked.items():
            if name not in {resolved[0] for resolved in self._ours.values() if resolved}:
                hint = nearest(given, self._ours)
                raise ForeignLogError("foreign.no-column", path=self._path, column=given, hint=hint)
        if not self._ours:
            raise ForeignLogError("foreign.no-rows", path=self._path)
        names = ", ".join(name[:40] for name in list(self._ours)[:12])
        if not self._steps:
            if counted := next(filter(counts_something_else, self._ours), None):
                raise ForeignLogError("foreign.not-steps", path=self._path, column=counted)
            raise ForeignLogError("foreign.no-steps", path=self._path, names=names)
        if not self._values:
            raise ForeignLogError("foreign.no-metrics", path=self._path, names=names)
        best: dict[str, str] = {}
        for column in self._values:
            name, sure = self._ours[column]
            if name not in best or sure < self._ours[best[name]][1]:
                best[name] = column
        series = {name: self._values[column] for name, column in best.items()}
        return in_order(np.asarray(self._steps), series)
