"""Verify a release: it holds nothing of the solution, and the same code in both languages."""

from __future__ import annotations

import re

from nbformat import NotebookNode

from course.messages import CourseError
from course.source import Cell, solution_lines

_MARKER = re.compile(r"#+\s*(BEGIN|END)\b|BEGIN SOLUTION|END SOLUTION|HIDDEN TEST|MARK SCHEME|AUTOTEST", re.I)
_SHORT = 6  # a line this short (`)`, `else:`) gives nothing away


def require_no_leak(release: NotebookNode, cells: list[Cell], name: str) -> None:
    """Check that a release holds no line of a solution or a model answer, no output and no marker.

    Raises:
        CourseError: naming the cell and what it gives away.
    """
    secret = secret_lines(cells)
    for cell in release.cells:
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            raise CourseError("build.leak-output", notebook=name, cell=cell.id)
        marker = _MARKER.search(cell.source)
        if marker:
            raise CourseError("build.leak-marker", notebook=name, cell=cell.id, marker=marker.group(0))
        for line in cell.source.splitlines():
            if line.strip() in secret:
                raise CourseError("build.leak-line", notebook=name, cell=cell.id, text=line.strip())


def require_parity(english: NotebookNode, spanish: NotebookNode, name: str) -> None:
    """Check that two releases have the same cells in the same order and differ in prose alone.

    Raises:
        CourseError: naming the first cell that differs.
    """
    if len(english.cells) != len(spanish.cells):
        raise CourseError("build.parity", notebook=name, cell=len(english.cells))
    for one, other in zip(english.cells, spanish.cells, strict=True):
        same = (one.id, one.cell_type, one.metadata) == (other.id, other.cell_type, other.metadata)
        # metadata hold the grade id, the points and the checksum
        prose = one.cell_type == "markdown" and "nbgrader" not in one.metadata
        if not same or (not prose and one.source != other.source):
            raise CourseError("build.parity", notebook=name, cell=one.id)


def secret_lines(cells: list[Cell]) -> set[str]:
    """Lines of solutions and model answers, but for those that a code cell shows anyway (an import, say)."""
    secret = {line for cell in cells if cell.role == "solution" for line in solution_lines(cell)}
    for cell in cells:
        if cell.role == "answer":
            for text in cell.texts.values():
                model, _, _ = text.partition("\n---\n")  # the rubric may be shown
                secret |= {line.strip() for line in model.splitlines()}
    given = {line for cell in cells if not cell.is_markdown for line in _given(cell)}
    return {line for line in secret if len(line) > _SHORT and line not in given}


def _given(cell: Cell) -> set[str]:
    """The lines of a code cell that the learner sees in the release."""
    if cell.role != "solution":
        return {line.strip() for line in cell.text.splitlines()}
    lines, inside = set(), False
    for line in cell.text.splitlines():
        if line.strip().startswith("### "):
            inside = "BEGIN" in line
        elif not inside:
            lines.add(line.strip())
    return lines
