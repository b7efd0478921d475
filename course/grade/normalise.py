"""Rebuild a submission from the release: the learner's code and written answers, nothing else.

    handed_in = normalise(file, releases)
    handed_in.cells        # grade id → source, of solution cells and written answers
    handed_in.code         # every code cell that an answer may need, in order: (name, source)
    handed_in.notes        # what was found and changes nothing, as (message key, values)
    handed_in.problem      # why nothing could be read, or None

Never raises on a learner's file. A cell is known by its grade id, its id, or its text. An answer counts where
it stands in its own cell, and where a cell of the learner's own defines its name: split, copied or retyped,
the parts are taken together in the notebook's order, up to the check that they were written for. Prose beside
an answer's cell belongs to that answer.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from course.cells import (
    OWN,
    Program,
    Statement,
    both_sides,
    names_of,
    only,
    plain_python,
    statements,
    syntax_error,
)
from course.grade.matching import MAX_PARTS, MAX_SOURCE, Matching, answer_names, answers
from course.grade.reading import MAX_FILE, Unreadable, pictures_of, read_bytes, read_cells
from course.messages import message
from course.plain import whole
from minigpt.messages import LANGUAGES

__all__ = ["MAX_FILE", "HandedIn", "Unreadable", "answers", "in_words", "normalise", "read_bytes", "rebuild"]

MAX_TOLD = 10  # cells of one submission that are told to be no Python


@dataclass
class HandedIn:
    """What a submission amounts to."""

    cells: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, dict]] = field(default_factory=list)
    problem: tuple[str, dict] | None = None
    language: str | None = None
    digest: str = ""
    timestamp: str | None = None  # when it was handed in, in UTC
    code: list[tuple[str, str]] = field(default_factory=list)
    pictures: dict[str, dict] = field(default_factory=dict)  # pasted into written answers, by grade id

    def note(self, key: str, **values: object) -> None:
        """Record something that changes nothing."""
        self.notes.append((f"grade.{key}", values))


def in_words(note: tuple[str, dict], code: str | None = None) -> str:
    """What a note or a problem says, in language `code` (default: the one in force)."""
    key, values = note
    return message(key, code, **values)


def normalise(file: Path, releases: NotebookNode | dict[str, NotebookNode]) -> HandedIn:
    """Read one submitted notebook; `releases` are those of each language, or one that stands for all."""
    try:
        content = read_bytes(file)
    except Unreadable as error:
        problem = (f"grade.{error.args[0]}", {"file": whole(file.name)})
        return HandedIn(problem=problem, digest=hashlib.sha256(error.args[0].encode()).hexdigest())
    found = normalised(content, file.name, releases)
    found.digest = hashlib.sha256(content).hexdigest()
    return found


def normalised(content: bytes, name: str, releases: NotebookNode | dict[str, NotebookNode]) -> HandedIn:
    """Read the bytes of a notebook that is called `name`; of a merge's two sides the one with more work."""
    if not isinstance(releases, dict) or "cells" in releases:
        releases = {"en": releases}
    try:
        readings = read_cells(content)
    except Unreadable as error:
        return HandedIn(problem=(f"grade.{error.args[0]}", {"file": whole(name)}))
    both = [_read(cells, metadata, releases) for cells, metadata in readings]
    found = max(both, key=lambda side: worked(side, releases["en"]))
    if len(readings) > 1:
        found.note("merge-conflict")
    return found


def worked(handed_in: HandedIn, release: NotebookNode) -> int:
    """How many answers are there that are not the untouched stub."""
    stubs = {name: cell.source.strip() for name, cell in answers(release).items()}
    return sum(text.strip() not in ("", stubs[name]) for name, text in handed_in.cells.items())


def rebuild(cells: dict[str, str], release: NotebookNode) -> NotebookNode:
    """Return the release with the learner's cells in it."""
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in cells:
            cell.source = cells[name]
    return notebook


def _read(cells: list[dict], metadata: dict, releases: dict[str, NotebookNode]) -> HandedIn:
    found, release = HandedIn(), releases["en"]
    lesson = metadata.get("lesson")
    lesson = lesson if isinstance(lesson, dict) else {}
    matching = Matching(cells, releases)
    found.language = lesson["lang"] if lesson.get("lang") in LANGUAGES else matching.language
    if lesson.get("id") not in (None, release.metadata.lesson.id):
        found.note("other-lesson", lesson=whole(str(lesson["id"]))[:40])
    elif lesson.get("revision") not in (None, release.metadata.lesson.revision):
        found.note("other-revision")
    _tell(found, matching)
    code_answers = {}
    for name, cell in matching.wanted.items():
        if cell.cell_type == "code":
            code_answers[name] = _code(found, name, matching)
        else:
            _prose(found, name, matching)
    _arrange(found, matching, code_answers)
    _tell_what_is_unseen(found, release)
    return found


def _tell(found: HandedIn, matching: Matching) -> None:
    """Note what the submission's graded cells look like."""
    for name, cell in matching.graded.items():
        places = matching.at(name)
        if not places:
            found.note("cell-missing", cell=name)
        if len({matching.sources[number] for number in places}) > 1:
            found.note("cell-twice", cell=name)
        for number in places:
            source, metadata = matching.sources[number], matching.cells[number].get("metadata")
            if name not in matching.wanted:
                if (source or "").strip() != cell.source.strip():
                    found.note("cell-edited", cell=name)
                continue
            if not matching.usable(number):
                found.note("cell-unreadable", cell=name)
            if isinstance(metadata, dict) and metadata.get("tags"):
                found.note("cell-tags", cell=name)


def _code(found: HandedIn, name: str, matching: Matching) -> tuple[int, set[int]]:
    """Take an answer in code; return where it stands, and which cells it was taken from."""
    stub = matching.wanted[name].source.strip()
    mine = matching.answer_names.get(name, set())
    checks = [n for n, other in enumerate(matching.names) if other and other.startswith(f"{name}_")]
    limit = max(checks, default=len(matching.cells))
    own = [n for n in matching.at(name)[:MAX_PARTS] if matching.usable(n)]
    more = [n for n in matching.own_code if _is_answer(matching.sources[n], mine, stub)][:MAX_PARTS]
    is_written = [n for n in own if matching.sources[n].strip() not in (stub, "")]
    taken = sorted(n for n in {*is_written, *more} if n < limit)
    taken = taken or is_written or more
    if not taken:
        if own:
            found.cells[name] = matching.sources[own[0]]
        return (own[0] if own else len(matching.cells)), set()
    parts, size = [], 0
    for source in dict.fromkeys(matching.sources[n] for n in taken):
        size += len(source)
        if not parts or size <= 2 * MAX_SOURCE:
            parts.append(source)
    found.cells[name] = _joined(parts, mine)[: 2 * MAX_SOURCE]
    if not set(taken) & set(own):
        found.note("answer-elsewhere", cell=name)
    elif len(parts) > 1:
        found.note("answer-joined", cell=name, cells=len(parts))
    return taken[-1], set(taken)


def _is_answer(source: str, mine: set[str], stub: str) -> bool:
    if source.strip() == stub or not any(name in source for name in mine):
        return False
    return bool(names_of(source)[0] & mine)


def _joined(parts: list[str], mine: set[str]) -> str:
    """The parts as one program: all that are Python, one torn in two, or else all as they are."""
    if len(parts) == 1:
        return parts[0]
    good = [part for part in parts if syntax_error(part) is None]
    if len(good) == len(parts):
        return "\n\n".join(parts)
    torn = "\n".join(parts)
    if syntax_error(torn) is None:
        return torn
    return "\n\n".join(good if any(names_of(part)[0] & mine for part in good) else parts)


def _prose(found: HandedIn, name: str, matching: Matching) -> None:
    """Take a written answer, and the learner's own prose next to it."""
    stub = matching.wanted[name].source.strip()
    own = [n for n in matching.at(name) if matching.usable(n)]
    places = {n for n in own if matching.sources[n].strip() not in (stub, "")}
    low, high = _between(name, matching)
    beside = numbers = [
        n
        for n in range(low + 1, high)
        if matching.names[n] is None
        and matching.cells[n].get("cell_type") in ("markdown", "raw")
        and matching.usable(n)
        and matching.sources[n].strip()
    ]
    parts = list(dict.fromkeys(matching.sources[n] for n in sorted(places | set(beside))))
    if not parts and low >= 0:
        parts = beside = _continued(low, matching)
    if parts:
        found.cells[name] = "\n\n".join(parts)[:MAX_SOURCE]
        if beside:
            found.note("prose-elsewhere", cell=name)
    elif own:
        found.cells[name] = matching.sources[own[0]]
    for number in sorted(places | set(numbers)):
        pictures = pictures_of(matching.cells[number])
        if pictures:
            found.pictures[name] = found.pictures.get(name, {}) | pictures


def _continued(number: int, matching: Matching) -> list[str]:
    """What was written below the question, in the question's own cell."""
    source, name = (matching.sources[number] or "").strip(), matching.names[number]
    if name in matching.wanted or matching.cells[number].get("cell_type") != "markdown":
        return []
    rests = [source.removeprefix(text).strip() for text in matching.texts[name] if source.startswith(text)]
    return [rest for rest in rests if rest]


def _between(name: str, matching: Matching) -> tuple[int, int]:
    """The nearest cells of the release's before and after an answer's, where they stand in the submission."""
    place, here = matching.place[matching.wanted[name].id], matching.at(name)
    before = [n for n, other in enumerate(matching.names) if other and matching.place[other] < place]
    after = [n for n, other in enumerate(matching.names) if other and matching.place[other] > place]
    low = max((n for n in before if not here or n < here[0]), default=-1)
    return low, min((n for n in after if n > max(low, *here, -1)), default=len(matching.cells))


def _arrange(found: HandedIn, matching: Matching, places: dict[str, tuple[int, set[int]]]) -> None:
    """Every code cell that an answer may need, in the notebook's order; the answers where they ended."""
    spent = set().union(*(cells for _, cells in places.values()))
    order: list[tuple[float, str, str]] = [
        (place + 0.5, name, found.cells[name]) for name, (place, _) in places.items() if name in found.cells
    ]
    told = 0
    for number in matching.own_code:
        source, name = matching.sources[number], matching.names[number]
        if number in spent:
            continue
        if name and source.strip() in matching.texts[name]:
            order.append((number, name, matching.released[name].source))
            continue
        if syntax_error(source) is not None and (told := told + 1) <= MAX_TOLD:
            found.note("cell-extra", line=source.strip().splitlines()[0][:60])
        order.append((number, f"{OWN}{number}", _added(source, matching.released.get(name))))
    found.code = [(name, source) for _, name, source in sorted(order, key=lambda item: item[0])]
    conflicts = [name for name, source in found.code if both_sides(source)]
    if conflicts:
        found.note("merge-conflict")


def _added(source: str, release: NotebookNode | None) -> str:
    """What a learner added to a cell of the release's: its own statements are run already, or on demand."""
    if release is None:
        return source
    source = plain_python(source)
    theirs = {_segment(release.source, part) for part in statements(release.source)}
    return only(source, [part for part in statements(source) if _segment(source, part) not in theirs])


def _segment(source: str, part: Statement) -> str:
    return "\n".join(line.rstrip() for line in source.split("\n")[part.first - 1 : part.last])


def _tell_what_is_unseen(found: HandedIn, release: NotebookNode) -> None:
    """Note the names that an answer uses and no cell of the notebook makes."""
    released = [(cell.id, cell.source) for cell in release.cells if cell.cell_type == "code"]
    stubs = {name: cell.source.strip() for name, cell in answers(release).items()}
    made = {name for _, source in [*released, *found.code] for name in names_of(source)[0]}
    program = Program(found.code, answer_names(release))
    for exercise in answer_names(release):
        if found.cells.get(exercise, "").strip() in ("", stubs[exercise]):
            continue
        unseen = program.unseen(exercise) - made
        if unseen and "*" not in made:
            found.note("unseen", cell=exercise, names=", ".join(sorted(unseen))[:200])
