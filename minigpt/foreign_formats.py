"""The rows of logs that are not ours, file by file: JSON, CSV, TensorBoard, W&B.

for place, row in rows_of(Path("train.csv"), {"step": "iter"}): ...
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, AnyStr

import orjson

from minigpt.messages import MiniGPTError

NAMES = {  # what loggers call our columns, the surest first; everything but letters and digits is "_"
    "step": ("trainer_global_step", "train_global_step", "global_step", "step", "steps", "iter", "iteration")
    + ("iterations", "it", "iter_num", "update", "num_updates"),
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "train_loss_iter"),
    "grad_norm": ("grad_norm", "train_grad_norm", "gradient_norm", "gnorm", "grad_norm_total"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate"),
    "val_loss": ("val_loss", "eval_loss", "valid_loss", "validation_loss", "loss_val", "loss_eval"),
}
LONGEST = 1 << 24  # characters in a line: what is longer is no log of one record a line
DOCUMENT = 1 << 28  # bytes of a file that is one JSON value, read at once
GROUPED = re.compile(r"\d{1,3}([.,]\d{3})+")  # thousands, or a number with three decimals: who knows


class ForeignLogError(MiniGPTError):
    """A log that cannot be read, or has not what it needs."""

    def __str__(self) -> str:
        # what a damaged log holds must not break the line or steer the terminal
        return "".join(character if character.isprintable() else "\ufffd" for character in super().__str__())


def plain(name: str) -> str:
    """Return the name in small letters, everything but letters and digits as "_"."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def same(column: str, given: str) -> bool:
    """Return whether a column is the one that was named."""
    return column == given or column == given.replace("/", ".")  # as the W&B reader writes it


def _counts_steps(column: str, asked: Mapping[str, str]) -> bool:
    return same(column, asked["step"]) if "step" in asked else plain(column) in NAMES["step"]


def _matters(column: str, asked: Mapping[str, str]) -> bool:
    names = any(plain(column) in known for known in NAMES.values())
    return names or any(same(column, given) for given in asked.values())


def kind_of(path: Path) -> str | None:
    """Return which of the readers a file or folder is for; None if none."""
    if path.is_dir():
        if any(path.rglob("*tfevents*")):
            return "tensorboard"
        return "wandb" if any(path.glob("*.wandb")) else None
    if "tfevents" in path.name:
        return "tensorboard"
    if path.suffix == ".wandb":
        return "wandb"
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(BOM_UTF8).lstrip()
    return "jsonl" if start.startswith((b"{", b"[")) else "csv"


def rows_of(path: Path, asked: Mapping[str, str]) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """Yield the rows of a log, each with the place where it stands, for an error.

    Args:
        asked: our name of a column to the log's, where that was given.

    Raises:
        ForeignLogError: the log cannot be read, or is of no kind that can.
    """
    try:
        kind = kind_of(path)
        if kind is None or not path.exists():
            raise ForeignLogError("foreign.unknown-kind", path=path)
        readers = {"jsonl": _jsonl, "csv": _csv, "tensorboard": _tensorboard, "wandb": _wandb}
        yield from readers[kind](path, asked)
    except OSError as error:
        raise ForeignLogError("foreign.cannot-read", path=path, detail=error.strerror or error) from error


def _lines(file: IO[AnyStr], path: Path) -> Iterator[tuple[int, AnyStr]]:
    """Yield every line with its number, and refuse one that would fill the memory."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), file.read(0)), start=1):
        if len(line) == LONGEST:
            raise ForeignLogError("foreign.bad-line", path=path, line=number)
        yield number, line


def _jsonl(path: Path, _asked: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as file:
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
    if path.stat().st_size > DOCUMENT:
        return None
    try:
        found = orjson.loads(path.read_bytes().removeprefix(BOM_UTF8))
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
    with path.open("rb") as file:
        wide = file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)  # as Excel's “Unicode text”
    with path.open(encoding="utf-16" if wide else "utf-8-sig", errors="replace", newline="") as file:
        head = file.readline(LONGEST)
        file.seek(0)
        delimiter = max(",;\t", key=head.count)
        lines = (line for _, line in _lines(file, path))
        reader, done = csv.reader(lines, delimiter=delimiter, strict=True), 0
        try:
            header = [name.strip() for name in next(reader, [])]
            done = reader.line_num
            for name in header:
                if header.count(name) > 1 and _matters(name, asked):
                    raise ForeignLogError("foreign.twice", path=path, column=name)
            counters = [place for place, name in enumerate(header) if _counts_steps(name, asked)]
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

    files = [path] if path.is_file() else sorted(path.rglob("*tfevents*"))
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
    from minigpt.dashboard.wandb_run import read_wandb

    columns = read_wandb(path).columns
    names = [name for name in columns.names() if name != "step"]
    # W&B counts calls of `log`; where a trainer logs its own count beside, that is the one that says more
    counters = {
        name: dict(zip(*(side.tolist() for side in columns.column(name)), strict=True))
        for name in names
        if _counts_steps(name, asked)
    }
    for name in names:
        for step, value in zip(*columns.column(name), strict=True):
            own = {counter: count[step] for counter, count in counters.items() if step in count}
            yield int(step), {"step": int(step), **own, name: float(value)}
