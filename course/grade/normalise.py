"""Rebuild a submission from the release: by grade id, the learner's code and written answers, nothing else.

    handed_in = normalise(file, release)
    handed_in.cells        # grade id → source, of solution cells and written answers
    handed_in.notes        # what was found and changes nothing, as (message key, values)
    handed_in.problem      # why nothing could be read, or None

Never raises on a learner's file. What stands in a solution cell's place counts even if its type, tags or
other metadata were changed; of two cells with one grade id the first that is not the untouched stub counts.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from course.messages import message
from course.plain import whole
from minigpt.messages import LANGUAGES

MAX_FILE = 20_000_000  # bytes; outputs with pictures included
MAX_SOURCE = 200_000  # characters of one answer
MAX_CELLS = 5_000
MAX_DEPTH = 60

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)


@dataclass
class HandedIn:
    """What a submission amounts to."""

    cells: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, dict]] = field(default_factory=list)
    problem: tuple[str, dict] | None = None
    language: str | None = None
    digest: str = ""
    timestamp: str | None = None  # when it was handed in, in UTC

    def note(self, key: str, **values: object) -> None:
        """Record something that changes nothing."""
        self.notes.append((f"grade.{key}", values))


def in_words(note: tuple[str, dict], code: str | None = None) -> str:
    """What a note or a problem says, in language `code` (default: the one in force)."""
    key, values = note
    return message(key, code, **values)


def normalise(file: Path, release: NotebookNode) -> HandedIn:
    """Read one submitted notebook."""
    found = HandedIn()
    try:
        content = read_bytes(file)
    except Unreadable as error:
        found.problem = (f"grade.{error.args[0]}", {"file": whole(file.name)})
        found.digest = hashlib.sha256(error.args[0].encode()).hexdigest()
        return found
    found.digest = hashlib.sha256(content).hexdigest()
    try:
        cells, metadata = _parse(content)
    except Unreadable as error:
        found.problem = (f"grade.{error.args[0]}", {"file": whole(file.name)})
        return found
    lesson = metadata.get("lesson")
    lesson = lesson if isinstance(lesson, dict) else {}
    if lesson.get("lang") in LANGUAGES:
        found.language = lesson["lang"]
    if lesson.get("revision") not in (None, release.metadata.lesson.revision):
        found.note("other-revision")
    _take(found, cells, release)
    return found


def rebuild(handed_in: HandedIn, release: NotebookNode) -> NotebookNode:
    """Return the release with the learner's cells in it."""
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in handed_in.cells:
            cell.source = handed_in.cells[name]
    return notebook


def answers(release: NotebookNode) -> dict[str, NotebookNode]:
    """The cells of a release that a learner writes, by grade id."""
    facts = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    return {name: cell for name, cell in facts.items() if cell.metadata.nbgrader.solution}


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


def _parse(content: bytes) -> tuple[list[dict], dict]:
    for encoding in ("utf-8-sig", "utf-16"):  # what editors make of a notebook that is opened as text
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Unreadable("not-json")
    if not text.strip():
        raise Unreadable("empty-file")
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
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest


def _take(found: HandedIn, cells: list[dict], release: NotebookNode) -> None:
    wanted = answers(release)
    known = [cell.id for cell in release.cells]
    graded = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    seen: set[str] = set()
    for cell in cells:
        name = _name(cell, wanted)
        source = _source(cell)
        if name in graded:
            if name in seen:
                found.note("cell-twice", cell=name)
            seen.add(name)
        if name in wanted:
            if source is None or len(source) > MAX_SOURCE or "\0" in source:
                found.note("cell-unreadable", cell=name)
            elif name not in found.cells or found.cells[name] == wanted[name].source:
                found.cells[name] = source
            if _tags(cell):
                found.note("cell-tags", cell=name)
        elif name in graded:
            if source != graded[name].source:
                found.note("cell-edited", cell=name)
        elif cell.get("cell_type") == "code" and source and cell.get("id") not in known and source.strip():
            found.note("cell-extra", line=source.strip().splitlines()[0][:60])
    for name in graded:
        if name not in seen:
            found.note("cell-missing", cell=name)


def _name(cell: dict, wanted: dict) -> str | None:
    """The grade id in the metadata; else the id of the cell, which Jupyter keeps, if it is an answer's."""
    metadata = cell.get("metadata")
    facts = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = facts.get("grade_id") if isinstance(facts, dict) else None
    if isinstance(name, str):
        return name
    name = cell.get("id")
    return name if isinstance(name, str) and name in wanted else None


def _source(cell: dict) -> str | None:
    source = cell.get("source", cell.get("input"))  # "input" in nbformat 3
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return whole(source) if isinstance(source, str) else None


def _tags(cell: dict) -> bool:
    metadata = cell.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("tags"))
