"""Shared by the course's tests: the small lesson of fixtures/, and a class graded by stock nbgrader."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import nbformat
import nbgrader.api
import pytest
from nbgrader.api import Gradebook

from course import open_lesson
from course.build import build
from course.lesson import ROOT, Lesson, find_lesson
from course.mutants import Mutant, Valid, load_answers
from course.source import read_source
from minigpt.messages import LANGUAGES, use_language

# A new gradebook asks a program of nbgrader's for its own version, which takes that two seconds each time.
nbgrader.api.get_alembic_version = cache(nbgrader.api.get_alembic_version)
FIXTURES = Path(__file__).parent / "fixtures" / "lessons"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start every test in English, whatever the machine speaks, and with no lesson open."""
    monkeypatch.setenv("MINIGPT_LANG", "en")
    monkeypatch.setattr(open_lesson, "opened", None)
    use_language(None)
    yield
    use_language(None)


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course's lessons are those of fixtures/."""
    monkeypatch.setenv("COURSE_LESSONS", str(FIXTURES))
    return FIXTURES


@pytest.fixture
def small(lessons: Path) -> Lesson:
    """The small lesson, read again."""
    return find_lesson("18-90")


@pytest.fixture
def root(small: Lesson, built: Path, tmp_path: Path) -> Path:
    """A course directory with two submissions."""
    for name in ("ana", "eva"):
        file = tmp_path / "class" / "submitted" / name / small.assignment / "small-model.ipynb"
        file.parent.mkdir(parents=True)
        shutil.copy(small.built("es", built), file)
    return tmp_path / "class"


@pytest.fixture
def other_cases(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`other_cases(11)`: a trial draws from that seed; tables, with seeds of their own, are left out."""

    def draw(seed: int) -> None:
        monkeypatch.setattr("course.judging.visible_seed", lambda check: seed)
        monkeypatch.setattr("course.trial.Trial._try_tables", lambda *_: None)

    return draw


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of the small lesson that a test may spoil."""
    shutil.copytree(FIXTURES, tmp_path / "lessons", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("COURSE_LESSONS", str(tmp_path / "lessons"))
    return tmp_path / "lessons" / "phase-18" / "90-small-model"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository's root into which the small lesson was built once."""
    root = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_LESSONS", str(FIXTURES))
        patch.setenv("MINIGPT_LANG", "en")
        build(find_lesson("18-90"), root)
    return root


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> type[Classroom]:
    """Make a classroom: `classroom(lesson, built_root)`; it grades in a folder of its own."""

    class Here(Classroom):
        folder = tmp_path_factory.mktemp("class")

    return Here


class Classroom:
    """A course directory with one assignment, its students and their grades, all by nbgrader's command."""

    folder: Path

    def __init__(self, lesson: Lesson, built_root: Path):
        self.lesson, self.built_root = lesson, built_root
        self.root = self.folder / lesson.assignment
        source = lesson.built("solutions", self.root).parent
        shutil.copytree(lesson.built("solutions", built_root).parent, source)
        shutil.copy(ROOT / "course" / "nbgrader_config.py", self.root)
        self.nbgrader("generate_assignment", lesson.assignment)
        cells = read_source(lesson.folder / "lesson.py")
        self.solutions = {cell.name: cell.text for cell in cells if cell.role == "solution"}
        self.needed = {cell.grade_id for cell in cells if cell.setup or cell.role in ("solution", "check")}

    def nbgrader(
        self, *arguments: str, folder: Path | None = None, seconds: float = 600
    ) -> subprocess.CompletedProcess:
        """Run an nbgrader command in the course directory; fail the test if it fails."""
        command = [sys.executable, "-m", "nbgrader", *arguments]
        environment = os.environ | {"COURSE_LESSONS": str(self.lesson.folder.parent.parent)}
        done = subprocess.run(
            command, cwd=folder or self.root, env=environment, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def submit(self, student: str, code: str, answers: dict[str, str]) -> None:
        """Hand in the release of language `code` with `answers` (exercise → code) written into it.

        Cells that no answer needs, such as training runs, are left out: nbgrader does not ask for them.
        """
        notebook = nbformat.read(self.lesson.built(code, self.built_root), as_version=4)
        notebook.cells = [c for c in notebook.cells if c.cell_type != "code" or c.id in self.needed]
        for cell in notebook.cells:
            if cell.id in answers:
                cell.source = answers[cell.id]
        file = self.root / "submitted" / student / self.lesson.assignment / f"{self.lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)

    def submit_answers(self, both: bool = False) -> None:
        """Hand in every answer of mutants/, the languages by turns, as many at once as can be told apart.

        Two answers share a submission if they are for different exercises and neither uses the other. With
        `both`, every submission is handed in once in each language.
        """
        rows: list[list[Valid | Mutant]] = []
        for answer in load_answers(self.lesson.folder / "mutants"):
            row = next((row for row in rows if not any(self._meet(answer, other) for other in row)), None)
            if row is None:
                rows.append(row := [])
            row.append(answer)
        self.rows = {}
        for index, row in enumerate(rows):
            own = self.solutions | {answer.exercise: answer.code for answer in row}
            turn = LANGUAGES[index % len(LANGUAGES)]
            for code in LANGUAGES if both else (turn,):
                self.rows[student := f"answers-{index}-{code}"] = row
                self.submit(student, code, own)

    def disagreements(self) -> dict[str, tuple[set[str], set[str]]]:
        """By student: checks at which points were lost, and checks that the answers name, where these differ.

        A solution that calls a wrong answer to another exercise loses its points too; those are left out.
        """
        found = {}
        for student, row in self.rows.items():
            mine = {answer.exercise for answer in row}
            wrong = {answer.exercise for answer in row if answer.fails}
            users = {
                exercise
                for exercise, code in self.solutions.items()
                if exercise not in mine and any(self._uses(code, other) for other in wrong)
            }
            named = {name for answer in row for name in answer.fails}
            lost = {name for name in self.lost(student) if name.split("/")[0] not in users}
            if lost != named:
                found[student] = (lost, named)
        return found

    def grade(self, feedback: bool = True) -> None:
        """Autograde every submission and write the feedback."""
        students = len(list((self.root / "submitted").iterdir()))
        self.nbgrader("autograde", self.lesson.assignment, seconds=60 * students + 120)
        if feedback:
            self.nbgrader("generate_feedback", self.lesson.assignment)

    def points(self, student: str) -> dict[str, tuple[float | None, float]]:
        """Points and maximum of each graded cell by its grade id; None where a person must decide."""
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as book:
            notebook = book.find_submission_notebook(self.lesson.slug, self.lesson.assignment, student)
            return {grade.name: (grade.auto_score, grade.max_score) for grade in notebook.grades}

    def lost(self, student: str) -> set[str]:
        """The names of the checks at which the student lost points."""
        points = self.points(student)
        return {
            name
            for name in self.lesson.checks
            if points[name.replace("/", "_")][0] != self._worth(points, name)
        }

    def feedback(self, student: str) -> str:
        """The student's feedback page."""
        folder = self.root / "feedback" / student / self.lesson.assignment
        return (folder / f"{self.lesson.slug}.html").read_text(encoding="utf-8")

    def _meet(self, one: Valid | Mutant, other: Valid | Mutant) -> bool:
        same = one.exercise == other.exercise
        return same or self._uses(one.code, other.exercise) or self._uses(other.code, one.exercise)

    def _uses(self, code: str, exercise: str) -> bool:
        names = {check.answer for check in self.lesson.checks.values() if check.exercise == exercise}
        return any(re.search(rf"\b{name}\b", code) for name in names)

    @staticmethod
    def _worth(points: dict, name: str) -> float:
        return points[name.replace("/", "_")][1]
