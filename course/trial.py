"""Try a lesson's checks on right and wrong answers (`course check`).

For every exercise: the reference solution and at least one other right answer pass; the untouched stub and at
least three wrong answers fail, each at the checks and with the messages that `mutants/` names, in both
languages. A wrong answer must also not satisfy the checks of another exercise: a check that anything
satisfies checks nothing. Nor may a constant, a table of answers by the shape of the input, or one of what the
notebook shows (`course.tables`).

Answers run as they would in the notebook: after the setup cells and the reference solutions of the other
exercises.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field

from course.build import release_notebook, source_notebook
from course.check import Check
from course.judging import Result, explain, run_check
from course.lesson import Lesson
from course.messages import CourseError, message, one_line
from course.mutants import Mutant, Valid, load_answers
from course.notebook import undisturbed
from course.probing import NotWritten
from course.source import Cell, read_source
from course.tables import constant_that_suffices, seen_suffices, table_suffices
from minigpt.messages import LANGUAGES

MIN_VALID = 1
MIN_MUTANTS = 3
NOT_WRITTEN = "check.not-written"


@dataclass
class Report:
    """The result of a trial: a sentence for every problem, and counts."""

    lesson: str
    findings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("exercises", "checks", "right", "wrong"), 0)
    )

    def add(self, key: str, **values: object) -> None:
        """Record a problem."""
        self.findings.append(f"{self.lesson}: " + message(f"trial.{key}", **values))

    def summary(self) -> str:
        """One sentence with the counts."""
        key = "trial.flawed" if self.findings else "trial.fine"
        return message(key, lesson=self.lesson, findings=len(self.findings), **self.counts)


class Trial:
    """The checks of one lesson and the namespaces in which answers run."""

    def __init__(self, lesson: Lesson):
        self.lesson = lesson
        self.cells = read_source(lesson.folder / "lesson.py")
        self.answers = load_answers(lesson.folder / "mutants")
        self.exercises = {cell.name: cell for cell in self.cells if cell.role == "solution"}
        release = release_notebook(source_notebook(lesson, self.cells, "en"))
        self.stubs = {cell.id: cell.source for cell in release.cells}
        self.report = Report(lesson.assignment)

    def run(self) -> Report:
        """Try everything and return the report."""
        self._require_known()
        self.report.counts |= {"exercises": len(self.exercises), "checks": len(self.lesson.checks)}
        for exercise, cell in self.exercises.items():
            self._try_exercise(exercise, cell)
        return self.report

    def results(self, exercise: str, code: str) -> dict[str, Result]:
        """Run every check of the lesson on a notebook whose `exercise` cell holds `code`.

        The checks of other exercises are run on this exercise's answer: none of them should pass.
        """
        namespace = self._namespace(exercise, code)
        own = {check.answer for check in self.lesson.checks.values() if check.exercise == exercise}
        found = {}
        for name, check in self.lesson.checks.items():
            given = [check.answer] if check.exercise == exercise else sorted(own)
            for answer in given:
                result = run_check(check, namespace.get(answer, NotWritten(answer)))
                if name not in found or result.wrong is None:
                    found[name] = result
        return found

    def passes(self, exercise: str, code: str) -> bool:
        """Whether a notebook whose `exercise` cell holds `code` passes every check of that exercise."""
        namespace = self._namespace(exercise, code)
        checks = [check for check in self.lesson.checks.values() if check.exercise == exercise]
        answers = [namespace.get(check.answer, NotWritten(check.answer)) for check in checks]
        return all(
            run_check(check, answer).wrong is None for check, answer in zip(checks, answers, strict=True)
        )

    def _try_tables(self, exercise: str, cell: Cell, checks: list[str]) -> None:
        """Every check has to ask for more than a constant, or a table of answers."""
        namespace = self._namespace(exercise, cell.text)
        for name in checks:
            check = self.lesson.checks[name]
            answer = namespace.get(check.answer)
            if table_suffices(check, answer):
                self.report.add("table-suffices", check=name)
            elif seen_suffices(check, [self.lesson.checks[other] for other in checks], answer):
                self.report.add("seen-suffices", check=name)
            if constant := constant_that_suffices(check):
                self.report.add("constant-suffices", check=name, constant=constant)

    def _try_exercise(self, exercise: str, cell: Cell) -> None:
        checks = [name for name, check in self.lesson.checks.items() if check.exercise == exercise]
        if not checks:
            self.report.add("no-checks", exercise=exercise)
            return
        stub = Mutant(exercise, "stub", self.stubs[cell.grade_id], dict.fromkeys(checks, NOT_WRITTEN))
        listed = [answer for answer in self.answers if answer.exercise == exercise]
        right = [answer for answer in listed if isinstance(answer, Valid)]
        wrong = [answer for answer in listed if isinstance(answer, Mutant)]
        if len(right) < MIN_VALID or len(wrong) < MIN_MUTANTS:
            self.report.add("too-few", exercise=exercise, right=len(right), wrong=len(wrong))
        for answer in wrong:
            if not answer.fails:
                self.report.add("fails-nothing", exercise=exercise, answer=answer.name)
        for answer in [Valid(exercise, "solution", cell.text), *right, stub, *wrong]:
            self._try_answer(answer, checks)
            self.report.counts["right" if isinstance(answer, Valid) else "wrong"] += 1
        self._try_tables(exercise, cell, checks)
        for name in checks:
            if not any(name in answer.fails for answer in wrong):
                self.report.add("never-failed", check=name)

    def _try_answer(self, answer: Valid | Mutant, checks: list[str]) -> None:
        where = {"exercise": answer.exercise, "answer": answer.name}
        try:
            results = self.results(answer.exercise, answer.code)
        except Exception as error:  # the lesson's own code failed: say which, and go on with the rest
            self.report.add("broken", **where, error=f"{type(error).__name__}: {one_line(error)}")
            return
        for name, result in results.items():
            check, got = self.lesson.checks[name], result.wrong and result.wrong.key
            if name not in checks:
                if got is None and isinstance(answer, Mutant):
                    self.report.add("passes-other", **where, check=name)
                continue
            expected = answer.fails.get(name)
            if got == expected:
                if result.wrong is not None:
                    self._require_texts(check, result, where)
            elif expected is None:
                self.report.add("should-pass", **where, check=name, got=got, why=self._why(result, check))
            else:
                self.report.add("should-fail", **where, check=name, expected=expected, got=got or "✓")

    def _require_texts(self, check: Check, result: Result, where: dict) -> None:
        try:
            texts = [
                explain(result.wrong, check, result.case, self.lesson.texts, code).strip()
                for code in LANGUAGES
            ]
        except (CourseError, KeyError, IndexError, ValueError) as error:
            key = result.wrong.key
            self.report.add("no-text", **where, check=check.name, text=key, error=one_line(error))
            return
        if len(set(texts)) < len(texts) or not all(texts):
            self.report.add("same-text", **where, check=check.name, text=result.wrong.key)

    def _why(self, result: Result, check: Check) -> str:
        try:
            return one_line(explain(result.wrong, check, result.case, self.lesson.texts))
        except (CourseError, KeyError, IndexError, ValueError) as error:
            return one_line(error)

    def _namespace(self, exercise: str, code: str) -> dict:
        namespace: dict = {"__name__": "__main__"}
        with redirect_stdout(io.StringIO()):
            for cell in self.cells:
                if cell.setup or cell.role == "solution":
                    text = code if cell.name == exercise else cell.text
                    program = compile(text, f"<{self.lesson.id} {cell.name}>", "exec")
                    try:
                        exec(program, namespace)
                    except NotImplementedError:  # the stub of an answer that is not a function
                        continue
        return namespace

    def _require_known(self) -> None:
        for answer in self.answers:
            where = {"exercise": answer.exercise, "answer": answer.name}
            if answer.exercise not in self.exercises:
                self.report.add("unknown-exercise", **where)
            for name in answer.fails:
                if name not in self.lesson.checks:
                    self.report.add("unknown-check", **where, check=name)


def run(lesson: Lesson) -> Report:
    """Try the lesson's checks on its answers.

    Raises:
        CourseError: the lesson's files cannot be read.
    """
    with undisturbed():
        return Trial(lesson).run()
