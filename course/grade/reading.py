"""From a file that somebody else wrote to its cells, whatever an editor, a browser or a merge did to it.

    for cells, metadata in read_cells(read_bytes(file)): ...     # two readings where a merge left both

Nothing here believes the file: its size, its depth and its types are looked at before anything is built.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

from course.cells import both_sides
from course.plain import whole

MAX_FILE = 64_000_000  # bytes; outputs with pictures and tables included
MAX_CELLS = 5_000
MAX_DEPTH = 60
PICTURES = ("image/png", "image/jpeg")
MAX_PICTURES = 3_000_000  # characters of a cell's pasted pictures, in base64

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)


class Unreadable(Exception):
    """The file cannot be read; the argument is the message key."""


def read_bytes(file: Path) -> bytes:
    """Read a file that somebody else put there: an ordinary one, of at most MAX_FILE bytes, no link.

    Raises:
        Unreadable: it is none.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unreadable("no-file") from None
    except OSError:
        raise Unreadable("a-link" if file.is_symlink() else "unreadable-file") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
        os.close(handle)
        raise Unreadable("too-large" if stat.S_ISREG(status.st_mode) else "not-a-file")
    with os.fdopen(handle, "rb") as stream:
        try:
            content = stream.read(MAX_FILE + 1)
        except OSError:
            raise Unreadable("unreadable-file") from None
    if len(content) > MAX_FILE:
        raise Unreadable("too-large")
    return content


def read_cells(content: bytes) -> list[tuple[list[dict], dict]]:
    """Return the cells and the notebook's metadata: one reading, or both sides of an unfinished merge.

    Raises:
        Unreadable: it is no notebook.
    """
    text = _text(content)
    if not text.strip():
        raise Unreadable("empty-file")
    try:
        return [_reading(text)]
    except Unreadable as error:
        found = []
        for side in both_sides(text):
            try:
                found.append(_reading(side))
            except Unreadable:  # then only the other side is a notebook
                found.append(([], {}))
        if not any(cells for cells, _ in found):
            raise error from None
        return found


def source_of(cell: dict) -> str | None:
    """A cell's text; None where it is none."""
    source = cell.get("source", cell.get("input"))  # "input" in nbformat 3
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return whole(source).removeprefix("\ufeff") if isinstance(source, str) else None


def pictures_of(cell: dict) -> dict[str, dict[str, str]]:
    """The pictures that were pasted into a cell, in base64, by type by name."""
    attached = cell.get("attachments")
    found: dict[str, dict[str, str]] = {}
    size = 0
    for name, kinds in attached.items() if isinstance(attached, dict) else ():
        for kind in PICTURES if isinstance(kinds, dict) else ():
            data = kinds.get(kind)
            data = "".join(data) if isinstance(data, list) and all(isinstance(d, str) for d in data) else data
            if isinstance(data, str) and (size := size + len(data)) <= MAX_PICTURES:
                found.setdefault(whole(name), {})[kind] = whole(data)
    return found


def _text(content: bytes) -> str:
    """The file's letters, in whichever code an editor or a shell saved them; a disk's padding is none."""
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        if content.lstrip()[:1] not in (b"{", b"<"):
            raise Unreadable("not-json") from None
        text = content.decode("cp1252", "replace")  # of some Windows: the code is in any of them
    return text.rstrip("\0")


def _reading(text: str) -> tuple[list[dict], dict]:
    if _depth(text) > MAX_DEPTH:
        raise Unreadable("too-deep")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("not-json") from None
    if not isinstance(data, dict):
        raise Unreadable("not-a-notebook")
    cells = data.get("cells")
    if cells is None and isinstance(data.get("worksheets"), list):  # nbformat 3
        sheets = [sheet for sheet in data["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets for cell in sheet.get("cells") or []]
    if not isinstance(cells, list):
        raise Unreadable("not-a-notebook")
    if len(cells) > MAX_CELLS:
        raise Unreadable("too-large")
    metadata = data.get("metadata")
    return [cell for cell in cells if isinstance(cell, dict)], metadata if isinstance(metadata, dict) else {}


def _depth(text: str) -> int:
    """How deep brackets nest outside strings, without building anything."""
    depth = deepest = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in "[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > MAX_DEPTH:
                    break
        elif token in "]}":
            depth -= 1
    return deepest
