"""Opening a log as bytes or text, whatever it is packed in or encoded as, and reading it line by line."""

from __future__ import annotations

import gzip
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, AnyStr

from minigpt.runs.importers.names import ExternalLogError

LONGEST = 1 << 24  # characters in a line: what is longer is no log of one record a line
GZIP = b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacked where it is packed by gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else path.open("rb")


def open_text(path: Path, newline: str) -> IO[str]:
    """Open a file as text."""
    with open_bytes(path) as file:
        start = file.read(64)
    encoding = "utf-8-sig"
    if start[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):  # as Excel's “Unicode text”, and what PowerShell pipes
        encoding = "utf-16"
    elif len(start) > 8 and not any(start[1::2]) and all(start[::2]):
        encoding = "utf-16-le"  # without its mark
    return TextIOWrapper(open_bytes(path), encoding, errors="replace", newline=newline)


def numbered_lines(file: IO[AnyStr], path: Path) -> Iterator[tuple[int, AnyStr]]:
    """Yield every line with its number, and refuse one that would fill the memory.

    Raises:
        ExternalLogError: a line is longer than any record.
    """
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), file.read(0)), start=1):
        if len(line) == LONGEST:
            raise ExternalLogError("external.bad-line", path=path, line=number)
        yield number, line
