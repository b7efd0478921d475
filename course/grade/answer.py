"""What a submission's answers are before anything runs: untouched, no Python, or a program to ask.

asked = Answers(handed_in, release, lesson.checks)
asked.refused("patient-a")            # (message key, values), or None
asked.cells("patient-a", given)       # the cells that its questions run
"""

from __future__ import annotations

from nbformat import NotebookNode

from course.cells import Program, syntax_error, syntax_values
from course.check import Check
from course.grade.normalise import HandedIn, answer_names, answers
from course.written import NotWrittenOut, written_out


class Answers:
    """The answers of one submission to the exercises of its lesson."""

    def __init__(self, handed_in: HandedIn, release: NotebookNode, checks: dict[str, Check]):
        self.handed_in, self.stubs = handed_in, {n: c.source.strip() for n, c in answers(release).items()}
        code = handed_in.code or [
            (name, handed_in.cells[name]) for name in self.stubs if name in handed_in.cells
        ]
        self.program = Program(code, answer_names(release))
        self.plain = {check.exercise: check.answer for check in checks.values() if check.written_out}

    def refused(self, exercise: str) -> tuple[str, dict] | None:
        """Why the exercise is not asked at all; None if it is."""
        source = self.handed_in.cells.get(exercise, "")
        if self.handed_in.problem or source.strip() in ("", self.stubs[exercise]):
            return "check.not-written", {}
        error = syntax_error(source)
        if error is not None:
            return "check.syntax-error", syntax_values(error, source)
        if exercise in self.plain:
            try:
                self._written(exercise)
            except NotWrittenOut as refusal:
                return "check.not-written-out", {"line": str(refusal)}
        return None

    def cells(self, exercise: str, given: set[str]) -> list[list[str]]:
        """The cells that the exercise's questions run; of a value that is to be written out, that alone."""
        if exercise in self.plain:
            return [[exercise, f"{self.plain[exercise]} = {self._written(exercise)!r}"]]
        return self.program.cells(exercise, given)

    def _written(self, exercise: str) -> object:
        return written_out(self.program.sources, self.plain[exercise])
