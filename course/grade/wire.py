"""Frames of plain data over a pipe: JSON with the arrays beside it as raw numbers, never a pickle.

    send(fd, {"loss": 6.24, "grid": np.zeros((2, 3))})
    value = receive(fd, Clock(30))       # raises Broken

A frame is two big-endian lengths, the JSON, then the bytes of its arrays. What arrives is rebuilt from exact
types and checked with `course.plain` before anybody sees it.
"""

from __future__ import annotations

import json
import os
import select
import struct

import numpy as np

from course.grade.clock import Clock
from course.plain import NotPlain, require_plain

MAX_FRAME = 32_000_000  # bytes
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")

_HEAD = struct.Struct(">II")
_CHUNK = 1 << 16
CHECK_SECONDS = 0.2  # how often a clock is asked: processor time may be up before the wall's


class Broken(Exception):
    """The other side ended, was too slow or sent what is not a frame; `reason` is a word for it."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def send(fd: int, value: object, clock: Clock | None = None) -> None:
    """Write one frame.

    Raises:
        NotPlain: the value is not plain data.
        Broken: the reader is gone, or did not read in time.
    """
    blobs: list[bytes] = []
    text = json.dumps(_packed(require_plain(value), blobs)).encode()
    blob = b"".join(blobs)
    view = memoryview(_HEAD.pack(len(text), len(blob)) + text + blob)
    if clock is not None:
        os.set_blocking(fd, False)
    while view:
        _wait(clock, [], [fd])
        try:
            view = view[os.write(fd, view[:_CHUNK]) :]
        except BlockingIOError:
            continue
        except OSError:
            raise Broken("ended") from None


def receive(fd: int, clock: Clock | None = None) -> object:
    """Read one frame.

    Raises:
        Broken: the sender ended ("ended"), nothing was left of the clock ("time", or what it says), it is no
        frame of ours ("frame", "flood").
    """
    text_size, blob_size = _HEAD.unpack(_read(fd, _HEAD.size, clock))
    if text_size + blob_size > MAX_FRAME:
        raise Broken("flood")
    text = _read(fd, text_size, clock)
    blob = _read(fd, blob_size, clock)
    try:
        return require_plain(_unpacked(json.loads(text), blob))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, NotPlain):
        raise Broken("frame") from None


def _read(fd: int, size: int, clock: Clock | None) -> bytes:
    parts, missing = [], size
    while missing:
        _wait(clock, [fd], [])
        try:
            part = os.read(fd, min(missing, _CHUNK))
        except BlockingIOError:
            continue
        except OSError:
            raise Broken("ended") from None
        if not part:
            raise Broken("ended")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _wait(clock: Clock | None, reading: list[int], writing: list[int]) -> None:
    """Until one of them is ready."""
    while clock is not None:
        left = clock.left()
        if any(select.select(reading, writing, [], max(0.0, min(left, CHECK_SECONDS)))):
            return
        if left <= 0:
            raise Broken(clock.reason)


def _packed(value: object, blobs: list[bytes]) -> object:
    if type(value) is list:
        return ["list", *(_packed(item, blobs) for item in value)]
    if type(value) is dict:
        return ["dict", {key: _packed(item, blobs) for key, item in value.items()}]
    if type(value) is np.ndarray:
        if value.dtype.name not in DTYPES:
            raise NotPlain(f"ndarray of {value.dtype}")
        blobs.append(np.ascontiguousarray(value).tobytes())
        return ["array", value.dtype.name, list(value.shape), sum(map(len, blobs[:-1]))]
    return value


def _unpacked(value: object, blob: bytes) -> object:
    if type(value) is not list:
        if type(value) is dict:
            raise ValueError("dict")
        return value
    kind, *rest = value
    if kind == "list":
        return [_unpacked(item, blob) for item in rest]
    if kind == "dict":
        return {key: _unpacked(item, blob) for key, item in rest[0].items()}
    if kind != "array":
        raise ValueError(kind)
    name, shape, offset = rest
    if name not in DTYPES or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in [*shape, offset]):
        raise ValueError(name)
    count = 1
    for length in shape:
        count *= length
    if offset + count * np.dtype(name).itemsize > len(blob):
        raise ValueError("short")
    return np.frombuffer(blob, dtype=name, count=count, offset=offset).reshape(shape).copy()
