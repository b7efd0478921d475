"""The rows of external logs, file by file: JSON, CSV, what was printed, TensorBoard, W&B, MLflow.

for place, row in rows_of(Path("train.csv"), {"step": "iter"}): ...
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, AnyStr

import orjson

from minigpt.importers.console import console_rows
from minigpt.importers.names import ForeignLogError, counts_steps, matters
from minigpt.importers.tables import is_mlflow, mlflow_rows, spread

LONGEST = 1 << 24  # characters in a line: what is longer is no log of one record a line
DOCUMENT = 1 << 28  # bytes of a file that is one JSON value, read at once
HEAD = 5000  # lines in which a printed log shows that it is one
GZIP = b"\x1f\x8b"
PACKED = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PAR1", b"SQLite format 3", b"\x89HDF")
GROUPED = re.compile(r"\d{1,3}([.,]\d{3})+")  # thousands, or a number with three decimals: who knows


def kind_of(path: Path) -> str | None:
    """Return which of the readers a file or folder is for; None if none."""
    if path.is_dir():
        if any(path.rglob("*tfevents*")):
            return "tensorboard"
        if any(path.glob("*.wandb")):
            return "wandb"
        return "mlflow" if is_mlflow(path) else None
    if "tfevents" in path.name:
        return "tensorboard"
    return "wandb" if path.suffix == ".wandb" else "text"


def rows_of(path: Path, asked: Mapping[str, str]) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """Yield the rows of a log, each with the place where it stands, for an error.

    Args:
        asked: our name of a column to the log's, where that was given.

    Raises:
        ForeignLogError: the log cannot be read, or is of no kind that can.
    """
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise ForeignLogError("foreign.no-file", path=path)  # to open a pipe may wait for ever
        kind = kind_of(path)
        if kind is None or not path.exists():
            raise ForeignLogError("foreign.unknown-kind", path=path)
        readers = {"text": _text, "tensorboard": _tensorboard, "wandb": _wandb, "mlflow": mlflow_rows}
        yield from readers[kind](path, asked)
    except (OSError, EOFError, zlib.error) as error:
        detail = getattr(error, "strerror", None) or error
        raise ForeignLogError("foreign.cannot-read", path=path, detail=detail) from error


def _text(path: Path, asked: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with _open(path) as file:
        start = file.read(4096)
    if start.startswith(PACKED):
        raise ForeignLogError("foreign.packed", path=path)
    start = start.removeprefix(BOM_UTF8).lstrip()
    if re.match(rb"\{\s*[\"}]|\[\s*[{\]]", start):
        return spread(_jsonl(path, asked), path, asked)
    if _is_printed(path, asked):
        return _printed(path, asked)
    return _jsonl(path, asked) if start.startswith((b"{", b"[")) else spread(_csv(path, asked), path, asked)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else path.open("rb")


def _open_text(path: Path, newline: str) -> IO[str]:
    with _open(path) as file:
        wide = file.read(2) in (
            BOM_UTF16_LE,
            BOM_UTF16_BE,
        )  # as Excel's “Unicode text”, and what PowerShell pipes
    encoding = "utf-16" if wide else "utf-8-sig"
    return TextIOWrapper(_open(path), encoding, errors="replace", newline=newline)


def _is_printed(path: Path, asked: Mapping[str, str]) -> bool:
    """Whether lines name their numbers, and no header does."""
    with _open_text(path, "\n") as file:
        head = file.readline(LONGEST)
    if any(counts_steps(name.strip(' \r\n"'), asked) for name in re.split("[,;\t]", head)):
        return False
    return any(True for _ in islice(_printed(path, asked, HEAD), 1))


def _printed(
    path: Path, asked: Mapping[str, str], until: int | None = None
) -> Iterator[tuple[int, Mapping[str, str]]]:
    with _open_text(path, "\n") as file:  # a progress bar returns without a new line
        yield from console_rows(islice(_lines(file, path), until), asked)


def _lines(file: IO[AnyStr], path: Path) -> Iterator[tuple[int, AnyStr]]:
    """Yield every line with its number, and refuse one that would fill the memory."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), file.read(0)), start=1):
        if len(line) == LONGEST:
            raise ForeignLogError("foreign.bad-line", path=path, line=number)
        yield number, line


def _jsonl(path: Path, _asked: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with _open(path) as file:
        for number, line in _lines(file, path):
            if number == 1:
                line = line.removeprefix(BOM_UTF8)
            if not line.strip():
                continue
            try:
                row = _object(line)
            except ValueError as error:
                if number == 1 and (document := _document(path)) is not None:
                    yield from enumerate(map(_flat, document), start=1)
                    return
                if not line.endswith(b"\n"):
                    return  # torn by a kill
                raise ForeignLogError("foreign.bad-line", path=path, line=number) from error
            if number == 1 and isinstance(row.get("log_history"), list):  # all of it in one line
                yield from enumerate(map(_flat, _document(path) or []), start=1)
                return
            yield number, _flat(row)


def _document(path: Path) -> list[dict[str, Any]] | None:
    """Return the records of a file that is one JSON value: a list, or what Hugging Face's Trainer keeps."""
    with _open(path) as file:
        content = file.read(DOCUMENT + 1)
    if len(content) > DOCUMENT:
        return None
    try:
        found = orjson.loads(content.removeprefix(BOM_UTF8))
    except ValueError:
        return None
    rows = found.get("log_history") if isinstance(found, dict) else found
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        # Python's own writer leaves bare NaN and Infinity
        row = orjson.loads(re.sub(rb"(?<=[:\s])(-?Infinity|NaN)(?=\s*[,}\]])", rb'"\1"', line))
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


def _csv(path: Path, asked: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with _open_text(path, newline="") as file:
        head = file.readline(LONGEST)
        file.seek(0)
        delimiter = max(",;\t", key=head.count)
        lines = (line for _, line in _lines(file, path))
        reader, done = csv.reader(lines, delimiter=delimiter, strict=True), 0
        try:
            header = [name.strip() for name in next(reader, [])]
            done = reader.line_num
            for name in header:
                if header.count(name) > 1 and matters(name, asked):
                    raise ForeignLogError("foreign.twice", path=path, column=name)
            counters = [place for place, name in enumerate(header) if counts_steps(name, asked)]
            for fields in reader:
                if len(fields) > len(header):
                    raise ForeignLogError("foreign.bad-line", path=path, line=reader.line_num)
                if delimiter == ";":  # where a comma is the decimal point
                    _refuse_grouped(path, reader.line_num, header, fields, counters)
                    fields = [field.replace(",", ".") if field.count(",") == 1 else field for field in fields]
                done = reader.line_num
                yield done, dict(zip(header, fields, strict=False))
        except csv.Error as error:
            if reader.line_num == done + 1 and next(lines, None) is None:
                return  # the last line, torn by a kill
            raise ForeignLogError("foreign.bad-line", path=path, line=done + 1) from error


def _refuse_grouped(path: Path, line: int, header: list[str], fields: list[str], counters: list[int]) -> None:
    for place in counters:
        if place < len(fields) and GROUPED.fullmatch(fields[place].strip()):
            values = {"column": header[place], "value": fields[place].strip()}
            raise ForeignLogError("foreign.bad-step", path=path, place=line, **values)


def _tensorboard(path: Path, _asked: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if find_spec("tensorboard") is None:
        raise ForeignLogError("loggers.not-installed", name="tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    files = [path] if path.is_file() else sorted(path.glob("*tfevents*")) or sorted(path.rglob("*tfevents*"))
    if len({file.parent for file in files}) > 1:
        folders = ", ".join(sorted({str(file.parent) for file in files})[:4])
        raise ForeignLogError("foreign.several-runs", path=path, folders=folders)
    for file in files:
        try:
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    number = tensor_util.make_ndarray(value.tensor) if value.HasField("tensor") else None
                    if number is not None and number.size == 1 and number.dtype.kind in "fiu":
                        yield value.tag, {"step": event.step, value.tag: number.item()}
        except ForeignLogError:
            raise
        except Exception as error:  # the reader raises what it likes at a damaged file
            detail = type(error).__name__
            raise ForeignLogError("foreign.cannot-read", path=file, detail=detail) from error


def _wandb(path: Path, asked: Mapping[str, str]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    from minigpt.importers.wandb_run import read_wandb

    columns = read_wandb(path).columns
    names = [name for name in columns.names() if name != "step"]
    # W&B counts calls of `log`; where a trainer logs its own count beside, that is the one that says more
    counters = {
        name: dict(zip(*(side.tolist() for side in columns.column(name)), strict=True))
        for name in names
        if counts_steps(name, asked)
    }
    for name in names:
        for step, value in zip(*columns.column(name), strict=True):
            own = {counter: count[step] for counter, count in counters.items() if step in count}
            yield int(step), {"step": int(step), **own, name: float(value)}
