"""The rows of a file of JSON: an object a line, or one value that holds them all, whole or broken off.

for number, row in json_rows(Path("trainer_state.json"), Notes()): ...
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from minigpt.runs.importers.files import numbered_lines, open_bytes
from minigpt.runs.importers.names import ExternalLogError
from minigpt.runs.importers.notes import Notes

DOCUMENT = 1 << 28  # bytes of a file that is one JSON value, read at once
BARE = re.compile(
    rb"(?<=[:\s])(-?Infinity|-?NaN|-?inf|nan)(?=\s*[,}\]])"
)  # as Python's own writer leaves them
FLAT = re.compile(rb"\{[^{}\[\]]*\}")  # a record, in a value that was broken off
DAMAGED = 0.5  # share of lines above which a file is no log of one object a line


def json_rows(path: Path, notes: Notes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows, each with its line, or its number in the list.

    Raises:
        ExternalLogError: half of the lines or more are no objects.
    """
    good, bad, first_bad = 0, 0, 0
    with open_bytes(path) as file:
        for number, line in numbered_lines(file, path):
            if number == 1:
                line = line.removeprefix(BOM_UTF8)
            if not line.strip():
                continue
            try:
                row = _object(line)
            except ValueError:
                if number == 1 and (document := _document(path, notes)) is not None:
                    yield from enumerate(map(_flat, document), start=1)
                    return
                if line.endswith(b"\n"):  # else torn by a kill
                    bad, first_bad = bad + 1, first_bad or number
                    notes.skip(number)
                continue
            if number == 1 and isinstance(row.get("log_history"), list):  # all of it in one line
                yield from enumerate(map(_flat, _document(path, notes) or []), start=1)
                return
            good += 1
            yield number, _flat(row)
    if bad > DAMAGED * (good + bad):
        raise ExternalLogError("external.bad-line", path=path, line=first_bad)


def _document(path: Path, notes: Notes) -> list[dict[str, Any]] | None:
    """Return the records of a file that is one JSON value: a list, or what Hugging Face's Trainer keeps."""
    with open_bytes(path) as file:
        content = file.read(DOCUMENT + 1)
    if len(content) > DOCUMENT:
        return None
    content = content.removeprefix(BOM_UTF8)
    try:
        found = loaded(content)
    except ValueError:
        return _broken_off(content, notes)
    rows = found
    if isinstance(found, dict):
        rows = found.get("log_history")
        for name, key in (
            ("spacing", "logging_steps"),
            ("total", "max_steps"),
            ("epochs", "num_train_epochs"),
        ):
            if isinstance(value := found.get(key), int | float) and value > 0:
                setattr(notes, name, value)
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _broken_off(content: bytes, notes: Notes) -> list[dict[str, Any]] | None:
    """Return the whole records of a value that ends too early."""
    if not re.match(rb"\s*(\[|\{[^}]{0,4000}?\"log_history\"\s*:\s*\[)", content):
        return None
    rows = []
    for match in FLAT.finditer(content):
        try:
            rows.append(_object(match[0]))
        except ValueError:
            notes.skip(len(rows) + 1)
    if rows:
        notes.skip(len(rows) + 1)
    return rows or None


def loaded(text: bytes) -> Any:
    """Return the value of a text of JSON, NaN and Infinity among its numbers."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if not BARE.search(text):
            raise
        return orjson.loads(BARE.sub(rb'"\1"', text))


def _object(line: bytes) -> dict[str, Any]:
    row = loaded(line)
    if not isinstance(row, dict):
        raise ValueError("not an object")
    return row


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat, left = {}, [("", row)]  # no recursion: a log may nest as deep as it likes
    while left:
        prefix, values = left.pop()
        for name, value in values.items():
            if isinstance(value, dict):
                left.append((f"{prefix}{name}.", value))
            elif not isinstance(value, list):
                flat[prefix + name] = value
    return flat
