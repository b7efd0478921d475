"""The rows of external logs, file by file: JSON, CSV, what was printed, TensorBoard, W&B, MLflow.

for place, row in rows_of(Path("train.csv"), {"step": "iter"}): ...
"""

from __future__ import annotations

import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from minigpt.messages import reason_of
from minigpt.runs.importers.console import console_rows, named_numbers
from minigpt.runs.importers.files import LONGEST, numbered_lines, open_bytes, open_text
from minigpt.runs.importers.json_rows import json_rows
from minigpt.runs.importers.lists import list_rows
from minigpt.runs.importers.names import ExternalLogError, counts_steps, matters
from minigpt.runs.importers.notes import Notes
from minigpt.runs.importers.tables import (
    csv_rows,
    is_mlflow,
    is_mlflow_metric,
    mlflow_metric,
    mlflow_rows,
    spread,
)
from minigpt.runs.importers.wrapped import field_lines, message_field, notebook_lines, page_lines

HEAD = 50_000  # lines in which a printed log shows that it is one
HTML = re.compile(rb"(?i)<(!doctype html|html|head|body|div|table|style|pre)\b[^>]*>")
PACKED = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PAR1", b"SQLite format 3", b"\x89HDF")


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


def rows_of(path: Path, asked: Mapping[str, str], notes: Notes) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """Yield the rows of a log, each with the place where it stands, for an error.

    Args:
        asked: our name of a column to the log's, where that was given.
        notes: takes down what is skipped, and what the log says of its run.

    Raises:
        ExternalLogError: the log cannot be read, or is of no kind that can.
    """
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise ExternalLogError("external.no-file", path=path)  # to open a pipe may wait for ever
        kind = kind_of(path)
        if kind is None or not path.exists():
            raise ExternalLogError("external.unknown-kind", path=path)
        readers = {"text": _text, "tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
        yield from readers[kind](path, asked, notes)
    except (OSError, EOFError, zlib.error) as error:
        detail = reason_of(error) if isinstance(error, OSError) else error
        raise ExternalLogError("external.cannot-read", path=path, detail=detail) from error


def _text(path: Path, asked: Mapping[str, str], notes: Notes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with open_bytes(path) as file:
        start = file.read(4096)
    if start.startswith(PACKED):
        raise ExternalLogError("external.packed", path=path)
    start = start.removeprefix(BOM_UTF8).lstrip()
    if re.match(rb"\{\s*[\"}]|\[\s*[{\]]", start):
        return _json(path, asked, notes)
    if is_mlflow_metric(start):
        return mlflow_metric(path, path.stem)
    if HTML.search(start):
        return console_rows(page_lines(path), asked, notes)
    if (rows := list_rows(path, asked)) is not None:
        return rows
    if _is_printed(path, asked):
        return _printed(path, asked, notes)
    if start.startswith((b"{", b"[")):
        return json_rows(path, notes)
    return spread(csv_rows(path, asked, notes), path, asked)


def _json(path: Path, asked: Mapping[str, str], notes: Notes) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """Return the rows of JSON: its objects, or what is kept inside them."""
    if (lines := notebook_lines(path)) is not None:
        return console_rows(lines, asked, notes)
    if (rows := list_rows(path, asked)) is not None:  # as Keras keeps its history
        return rows
    if (field := message_field(path, asked)) is not None:
        return console_rows(field_lines(path, field, notes), asked, notes)
    return spread(json_rows(path, notes), path, asked)


def _mlflow(path: Path, asked: Mapping[str, str], _notes: Notes) -> Iterator[tuple[str, Mapping[str, str]]]:
    return mlflow_rows(path, asked)


def _is_printed(path: Path, asked: Mapping[str, str]) -> bool:
    """Return whether lines name their numbers, and no header does."""
    with open_text(path, "\n") as file:
        head = file.readline(LONGEST)
    names = [name.strip(' \r\n"') for name in re.split("[,;\t]", head)]
    if any(matters(name, asked) for name in named_numbers(head)):
        names = []  # “| loss 8.34 | pplx 4191.16, bpc 12.0331” is no header
    if any(counts_steps(name, asked) for name in names) or sum(matters(name, asked) for name in names) > 1:
        return False
    return any(True for _ in islice(_printed(path, asked, Notes(), HEAD), 1))


def _printed(
    path: Path, asked: Mapping[str, str], notes: Notes, until: int | None = None
) -> Iterator[tuple[int, Mapping[str, str]]]:
    with open_text(path, "\n") as file:  # a progress bar returns without a new line
        yield from console_rows(islice(numbered_lines(file, path), until), asked, notes)


def _tensorboard(
    path: Path, _asked: Mapping[str, str], _notes: Notes
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if find_spec("tensorboard") is None:
        raise ExternalLogError("loggers.not-installed", name="tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    files = [path] if path.is_file() else sorted(path.glob("*tfevents*")) or sorted(path.rglob("*tfevents*"))
    if len({file.parent for file in files}) > 1:
        folders = ", ".join(sorted({str(file.parent) for file in files})[:4])
        raise ExternalLogError("external.several-runs", path=path, folders=folders)
    for file in files:
        try:
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    number = tensor_util.make_ndarray(value.tensor) if value.HasField("tensor") else None
                    if number is not None and number.size == 1 and number.dtype.kind in "fiu":
                        yield value.tag, {"step": event.step, value.tag: number.item()}
        except ExternalLogError:
            raise
        except Exception as error:  # the reader raises what it likes at a damaged file
            detail = type(error).__name__
            raise ExternalLogError("external.cannot-read", path=file, detail=detail) from error


def _wandb(path: Path, asked: Mapping[str, str], _notes: Notes) -> Iterable[tuple[int, Mapping[str, Any]]]:
    from minigpt.runs.importers.wandb_run import read_wandb

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
