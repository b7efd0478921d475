"""Reading logs of one JSON object a line: as records, or a million steps by column in about a second.

    records = read_jsonl(Path("experiments/first/probes.jsonl"))
    columns = Columns.read(Path("experiments/first/metrics.jsonl"))
    steps, loss = columns.column("loss")
    steps, lr = columns.column("lr.decay")      # an object in the log is a dotted name here,
    steps, norm = columns.column("memory.norm.0")  # and so is a short list inside an object

A log may still be growing, or end in the middle of a line because its writer was killed: a torn last line is
dropped. Columns are made of the text block by block, so neither the file nor a million dictionaries are ever
in memory; values that are not numbers (a note, a list) have no column.
"""

from __future__ import annotations

import gc
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from minigpt.messages import MiniGPTError, reason_of

BLOCK = 1 << 21  # bytes
LONGEST = 64  # entries of a list that are columns: one for each layer of a model
NON_FINITE = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}  # strict JSON has no such numbers


class RunError(MiniGPTError):
    """A run directory that is missing, torn or not one."""


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read one object a line; a torn last line is dropped, a missing file is empty.

    Raises:
        RunError: a line before the last is not a JSON object.
    """
    return [record for records in _blocks(path) for record in records]


def last_attempts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records without those that were undone, in the order of their steps.

    Those of one step stay in the order written, and those without a step come last. A record carries the
    number of its attempt, 0 where it has none. Where attempt k began at a step, what earlier attempts logged
    of that step and later ones no longer counts, whatever the order of the lines.
    """
    if not any("attempt" in record for record in records):
        return records
    places = [_place(record) for record in records]
    begins: dict[int, float] = {}  # by attempt, its first step
    for step, attempt in places:
        begins[attempt] = min(step, begins.get(attempt, math.inf))
    undone_from, earliest = {}, math.inf  # by attempt, where a later one began
    for attempt in sorted(begins, reverse=True):
        undone_from[attempt] = earliest
        earliest = min(earliest, begins[attempt])
    kept = [
        (step, record)
        for record, (step, attempt) in zip(records, places, strict=True)
        if step < undone_from[attempt] or step == math.inf
    ]
    return [record for _, record in sorted(kept, key=itemgetter(0))]


def _place(record: dict[str, Any]) -> tuple[float, int]:
    """Return the step and the attempt of a record; one without a step stands after all others."""
    step, attempt = record.get("step"), record.get("attempt")
    return step if type(step) is int else math.inf, attempt if type(attempt) is int else 0


class Columns:
    """The numbers of a log, by name."""

    def __init__(self, records: Iterable[dict[str, Any]] = ()):
        """Take records that are already in memory; every one has a `step`."""
        self._parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._whole: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.add(list(records))

    @classmethod
    def read(cls, path: Path) -> Columns:
        """Read the log at `path`; a missing file is empty, a torn last line is dropped.

        Raises:
            RunError: a line before the last is not a JSON object.
        """
        columns = cls()
        with _without_collector():
            for records in _blocks(path):
                columns.add(records)
        return columns

    @classmethod
    def of(cls, series: dict[str, tuple[np.ndarray, np.ndarray]]) -> Columns:
        """Take columns that are already apart: steps (int64) and values (float64) by name."""
        columns = cls()
        columns._parts = {name: [pair] for name, pair in series.items()}
        return columns

    def names(self) -> list[str]:
        """Every column, in the order of appearance."""
        return list(self._parts)

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def __len__(self) -> int:
        """Number of records."""
        return len(self.column("step")[0])

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps at which `name` was logged (int64) and its values (float64), in the order written.

        "NaN" and "Infinity" are the numbers they name. A column that is not there is empty.
        """
        if name not in self._whole:
            parts = self._parts.get(name) or [(np.empty(0, np.int64), np.empty(0))]
            if len(parts) > 1:
                parts[:] = [tuple(np.concatenate(side) for side in zip(*parts, strict=True))]
            self._whole[name] = parts[0]
        return self._whole[name]

    def add(self, records: list[dict[str, Any]]) -> None:
        """Append records, every one with a `step`; some thousands at a time are quickest."""
        try:
            steps = np.array(array("q", map(itemgetter("step"), records)))
        except (KeyError, TypeError):  # a record without a step has no place in a column
            records = [record for record in records if type(record.get("step")) is int]
            steps = np.array([record["step"] for record in records], np.int64)
        if records:
            self._whole.clear()
            self._flatten("", steps, records)

    def _flatten(self, prefix: str, steps: np.ndarray, records: Sequence[dict[str, Any]]) -> None:
        """Append one array a key; what most records share is taken out of all of them at once."""
        lengths = np.fromiter(map(len, records), np.int64, len(records))
        shared = list(records[int(lengths.argmin())])
        try:
            self._transpose(prefix, steps, records, shared)
        except KeyError:
            shared = [name for name in shared if all(name in record for record in records)]
            self._transpose(prefix, steps, records, shared)
        longer = np.flatnonzero(lengths > len(shared)).tolist()
        for name in dict.fromkeys(name for index in longer for name in records[index]):
            if name not in shared:
                at = [index for index in longer if name in records[index]]
                self._append(prefix + name, steps[at], [records[index][name] for index in at])

    def _transpose(self, prefix: str, steps: np.ndarray, records: Sequence[dict[str, Any]], names: list[str]):
        if not names:
            return
        taken = itemgetter(*names, *names[:1])  # the first twice: of a single name it would return no tuple
        for name, values in zip(names, zip(*map(taken, records), strict=True), strict=False):
            self._append(prefix + name, steps, values)

    def _append(self, name: str, steps: np.ndarray, values: Sequence[Any]) -> None:
        try:
            numbers = np.array(array("d", values))
        except TypeError:  # something among them is not a number
            if set(map(type, values)) == {dict}:
                return self._flatten(f"{name}.", steps, values)
            if "." in name and set(map(type, values)) == {list}:
                if max(map(len, values)) > LONGEST:
                    return
                numbered = [{str(index): number for index, number in enumerate(value)} for value in values]
                return self._flatten(f"{name}.", steps, numbered)
            objects = [index for index, value in enumerate(values) if type(value) is dict]
            if objects:
                self._flatten(f"{name}.", steps[objects], [values[index] for index in objects])
            at = [index for index, value in enumerate(values) if isinstance(value, int | float)]
            if not at:
                return
            steps, numbers = steps[at], np.array([values[index] for index in at], np.float64)
        self._parts.setdefault(name, []).append((steps, numbers))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cyclic garbage collector, which looks again and again at records that hold no cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _blocks(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of a file, some thousands at a time."""
    if not path.is_file():
        return
    done = 0  # lines
    rest = b""
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                head, newline, tail = block.rpartition(b"\n")
                if not newline:
                    rest += block
                    continue
                text, rest = rest + head, tail
                yield _records(text, path, done)
                done += text.count(b"\n") + 1
    except OSError as error:
        raise RunError("logs.cannot-read", path=path, detail=reason_of(error)) from error
    try:
        yield _records(rest, path, done)
    except RunError:
        return  # no line break after it: the writer was cut off


def _records(text: bytes, path: Path, lines_before: int) -> list[dict[str, Any]]:
    """Parse whole lines, one by one only where that is needed: blank lines, a bare NaN, a damaged line."""
    try:
        records = orjson.loads(b"[" + text.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        records = [None]
    if set(map(type, records)) - {dict}:
        lines = enumerate(text.split(b"\n"), start=lines_before + 1)
        records = [_record(line, path, number) for number, line in lines if line.strip()]
    if b'NaN"' in text or b'Infinity"' in text:
        records = [_named_numbers(record) for record in records]
    return records


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line.decode("utf-8", errors="replace"))
    except ValueError as error:
        raise RunError("run.bad-line", path=path, line=number) from error
    if not isinstance(record, dict):
        raise RunError("run.bad-line", path=path, line=number)
    return record


def _named_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named_numbers(inner) for inner in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value
