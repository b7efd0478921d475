"""A lesson's source: one jupytext percent file with code cells once and each markdown cell twice.

Cell headers (the rest of the file is plain jupytext; every cell has one name, unique in the file):

    # %% [markdown] id="why" lang="en"                      prose, English
    # %% [markdown] id="why" lang="es" of="<hash>"          the same cell in Spanish, directly below
    # %% id="setup" setup=true                              code; setup: `course check` runs it too
    # %% id="ln-v" compare=true                             code whose output nbval compares
    # %% id="draw" folded=true                              code that JupyterLab shows folded (drawings)
    # %% solution="init-weights"                            an exercise: ### BEGIN SOLUTION … ### END SOLUTION
    # %% check="init-weights/std" points=2                  one line: check("init-weights/std", init_weights)
    # %% [markdown] answer="explain" points=2 lang="en"     graded by hand: model answer, a line ---, rubric
    # %% [markdown] answer="explain" points=2 lang="es" of="…"

`of` is the hash of the English text that was translated; `course build --stamp` writes it after a review.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext

from course.messages import CourseError
from minigpt.messages import LANGUAGES, nearest

SOURCE = LANGUAGES[0]  # the language that the others are translated from
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
ROLES = {  # the attribute that names the cell → the other attributes that its header may have
    "id": {"lang", "of", "setup", "compare", "folded"},
    "solution": set(),
    "check": {"points"},
    "answer": {"points", "lang", "of"},
}

_HEADER = re.compile(r"^# %%(?=\s|$)", re.MULTILINE)
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?")
_MARKER = re.compile(
    r"^\s*#+\s*(BEGIN|END)\b|BEGIN SOLUTION|END SOLUTION|HIDDEN TESTS|MARK SCHEME|AUTOTEST", re.I | re.M
)


@dataclass
class Cell:
    """One cell of the lesson; `role` is prose, code, solution, check or answer."""

    role: str
    name: str
    line: int  # of its header in the source
    text: str = ""  # code cells
    texts: dict[str, str] = field(default_factory=dict)  # prose and answers, by language
    points: int = 0
    setup: bool = False
    compare: bool = False
    folded: bool = False

    @property
    def is_markdown(self) -> bool:
        """Whether the cell is prose or a written answer."""
        return self.role in ("prose", "answer")

    @property
    def grade_id(self) -> str:
        """nbgrader's id and the notebook's cell id: the name, with `_` between exercise and aspect."""
        return self.name.replace("/", "_")


def text_hash(text: str) -> str:
    """The hash of an English text that its translation carries."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12]


def read_source(file: Path) -> list[Cell]:
    """Read a lesson's source.

    Raises:
        CourseError: anything wrong with it, naming file, line and cell.
    """
    cells: list[Cell] = []
    english: tuple[Cell, dict] | None = None  # the English cell that waits for its translation
    for line, kind, header, text in _raw_cells(file):
        where = {"file": file, "line": line, "cell": _name(header)}
        cell = _cell(kind, header, text, where)
        language = header.get("lang")
        if language not in (None, SOURCE):
            original = english[0] if english else None
            same = original and (original.name, original.role) == (cell.name, cell.role)
            if not same or language in original.texts:
                raise CourseError("source.orphan", **where)
            if header.get("of") != text_hash(original.texts[SOURCE]):
                raise CourseError("source.stale", **where)
            if cell.points != original.points:
                raise CourseError("source.points-differ", **where)
            original.texts[language] = text
            if original.texts.keys() == set(LANGUAGES):
                english = None
            continue
        if english is not None:
            raise CourseError("source.missing", **english[1])
        if any(cell.name == other.name for other in cells):
            raise CourseError("source.twice", **where)
        cells.append(cell)
        if cell.is_markdown:
            english = (cell, where)
    if english is not None:
        raise CourseError("source.missing", **english[1])
    return cells


def stamped(file: Path) -> str:
    """Return the source with every `of` refreshed: its author says that each translation was reviewed.

    Raises:
        CourseError: the file is missing or a header cannot be read.
    """
    original = ""
    marks = {}
    for line, _, header, text in _raw_cells(file):
        if header.get("lang") == SOURCE:
            original = text_hash(text)
        elif "lang" in header:
            marks[line] = original
    lines = file.read_text(encoding="utf-8").splitlines()
    for line, mark in marks.items():
        bare = re.sub(r'\s+of="[^"]*"', "", lines[line - 1]).rstrip()
        lines[line - 1] = f'{bare} of="{mark}"'
    return "\n".join(lines) + "\n"


def solution_lines(cell: Cell) -> set[str]:
    """The stripped, non-empty lines between the solution markers of a code cell."""
    inside, lines = False, set()
    for line in cell.text.splitlines():
        if line.strip() in (BEGIN, END):
            inside = line.strip() == BEGIN
        elif inside and line.strip():
            lines.add(line.strip())
    return lines


def _raw_cells(file: Path):
    """Yield (line of the header, kind, header's attributes, text) for each cell."""
    if not file.is_file():
        raise CourseError("lesson.file-missing", file=file)
    try:
        whole = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CourseError("source.not-utf8", file=file) from None
    starts = [match.start() for match in _HEADER.finditer(whole)]
    if not starts:
        raise CourseError("source.empty", file=file)
    for start, end in zip(starts, [*starts[1:], len(whole)], strict=True):
        line = whole.count("\n", 0, start) + 1
        notebook = jupytext.reads(whole[start:end], fmt="py:percent")
        if len(notebook.cells) != 1:
            raise CourseError("source.header", file=file, line=line)
        cell = notebook.cells[0]
        header = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
        yield line, cell.cell_type, header, cell.source


def _name(header: dict) -> str:
    return next((str(header[role]) for role in ROLES if role in header), "?")


def _cell(kind: str, header: dict, text: str, where: dict) -> Cell:
    """Check one cell by itself and return it; an English or Spanish text is put under its language."""
    named = [role for role in ROLES if role in header]
    if len(named) != 1 or not _NAME.fullmatch(_name(header)):
        raise CourseError("source.no-name", **where)
    role = named[0]
    for key in header:
        if key != role and key not in ROLES[role]:
            hint = nearest(key, {*ROLES, *ROLES[role]})
            raise CourseError("source.attribute", **where, attribute=key, hint=hint)
    if kind not in ("markdown", "code") or (kind == "markdown") != ("lang" in header):
        raise CourseError("source.language-missing", **where)
    if "lang" in header and header["lang"] not in LANGUAGES:
        hint = nearest(str(header["lang"]), LANGUAGES)
        raise CourseError("source.language", **where, given=header["lang"], hint=hint)
    if not text.strip():
        raise CourseError("source.no-text", **where)
    points = header.get("points", 0)
    if "points" in ROLES[role] and (type(points) is not int or points < 1):
        raise CourseError("source.points", **where)
    cell = Cell(
        role=("prose" if kind == "markdown" else "code") if role == "id" else role,
        name=header[role],
        line=where["line"],
        points=points,
        setup=header.get("setup") is True,
        compare=header.get("compare") is True,
        folded=header.get("folded") is True,
    )
    if kind == "markdown":
        cell.texts[header["lang"]] = text
    else:
        cell.text = text
    _require_role(cell, text, where)
    return cell


def _require_role(cell: Cell, text: str, where: dict) -> None:
    markers = [match.group(0).strip() for match in _MARKER.finditer(text)]
    lines = [line.strip() for line in text.splitlines()]
    if cell.role == "solution":
        found = [line for line in lines if line in (BEGIN, END)]
        if found != [BEGIN, END] * (len(found) // 2) or not found or len(found) != len(markers):
            raise CourseError("source.solution", **where)
        if not solution_lines(cell):
            raise CourseError("source.solution", **where)
    elif markers:
        raise CourseError("source.marker", **where, marker=markers[0])
    if cell.role == "check" and (
        len(lines) != 1 or not re.fullmatch(rf'check\("{re.escape(cell.name)}", \w+\)', lines[0])
    ):
        raise CourseError("source.check-line", **where)
    if cell.role == "answer":
        answer, rule, rubric = text.partition("\n---\n")
        if not (answer.strip() and rule and rubric.strip()):
            raise CourseError("source.rubric", **where)
