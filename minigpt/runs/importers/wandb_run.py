"""Reading a Weights & Biases run that was recorded offline: `wandb/offline-run-…/run-….wandb`.

The file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md) with a header of
seven bytes: blocks of 32 KiB that hold records, whole or in pieces, each behind checksum, length and type. A
record is a protocol-buffer message, which the `wandb` package describes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from minigpt.messages import MiniGPTError, reason_of
from minigpt.runs.jsonl import NON_FINITE, Columns

HEADER = b":W&B\xe1\xbe"  # then one byte for the version
BLOCK = 1 << 15
ROWS = 10_000  # that are taken in at a time
PIECE = struct.Struct("<IHB")  # checksum, length, type
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class WandbError(MiniGPTError):
    """A folder that holds no readable offline run."""


@dataclass
class WandbRun:
    """What was recorded."""

    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)


def read_wandb(folder: str | Path) -> WandbRun:
    """Read the offline run in `folder`; a torn end is dropped.

    Names are the logger's: "lr/decay" becomes the column "lr.decay".

    Raises:
        WandbError: the folder has no .wandb file or more than one, the file is of another kind or of no run,
            or the package that describes its records is not installed.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.wandb")) if folder.is_dir() else [folder] if folder.is_file() else []
    if len(files) != 1:
        raise WandbError("dashboard.no-wandb-run", path=folder, found=len(files))
    if find_spec("wandb") is None:
        raise WandbError("loggers.not-installed", name="wandb")
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    run, rows, count = WandbRun(folder.name), [], 0
    try:
        with files[0].open("rb") as file:
            if file.read(len(HEADER)) != HEADER:
                raise ValueError("header")
            for data in _records(file):
                record = Record.FromString(data)
                kind = record.WhichOneof("record_type")
                if kind == "run":
                    run.name = record.run.display_name or record.run.run_id or run.name
                    run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
                elif kind == "history":
                    rows.append(_row(record.history, count))
                    count += 1
                if len(rows) == ROWS:  # a long run is never in memory as dictionaries
                    run.columns.add(rows)
                    rows.clear()
    except (OSError, ValueError, DecodeError) as error:
        detail = reason_of(error) if isinstance(error, OSError) else type(error).__name__
        raise WandbError("dashboard.bad-wandb-file", path=files[0], detail=detail) from error
    run.config.pop("_wandb", None)
    run.columns.add(rows)
    if not len(run.columns):
        raise WandbError("dashboard.empty-wandb-run", path=folder)
    return run


def _row(history: Any, index: int) -> dict[str, Any]:
    values = {}
    for item in history.item:
        value = json.loads(item.value_json)
        value = NON_FINITE.get(value, value) if isinstance(value, str) else value
        values[".".join(item.nested_key) or item.key] = value
    step = values.get("_step", history.step.num)
    named = {name.replace("/", "."): value for name, value in values.items() if not name.startswith("_")}
    return named | {"step": int(step if step is not None else index)}


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the payload of every whole record, its pieces put together."""
    position, parts = len(HEADER) + 1, b""
    file.seek(position)
    while True:
        left = BLOCK - position % BLOCK
        if left < PIECE.size:  # the rest of a block is padding
            position = file.seek(position + left)
        head = file.read(PIECE.size)
        if len(head) < PIECE.size:
            return
        _, length, kind = PIECE.unpack(head)
        piece = file.read(length)
        position += PIECE.size + length
        if len(piece) < length or kind not in (WHOLE, FIRST, MIDDLE, LAST):
            return  # the writer was cut off
        parts = parts + piece if kind in (MIDDLE, LAST) else piece
        if kind in (WHOLE, LAST):
            yield parts
