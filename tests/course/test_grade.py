"""Grading: hostile and broken submissions get what they deserve, and nobody else notices."""

import csv
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from course.grade.classroom import grade_assignment
from course.grade.sandbox import strongest
from course.lesson import ROOT, find_lesson

CHOSEN = (
    "always-equal",
    "patch-everything",
    "forge-frames",
    "os-exit-zero",
    "edited-checks",
    "read-the-secret",
    "find-checks",
    "network",
    "leave-a-daemon",
    "endless-and-deaf",
    "fork-bomb",
    "not-json",
    "deep-json",
    "a-link-to-a-neighbour",
    "every-cell-twice",
    "version-3",
    "half-a-character",
    "progress-bar",
    "callable-object",
    "returns-the-model",
)

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")


def _benchmark(name):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return module


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class with some of the attacks, graded once."""
    adversary = _benchmark("adversary")
    root = tmp_path_factory.mktemp("hostile")
    attacks = [attack for attack in adversary.ATTACKS if attack.name in CHOSEN]
    outcomes, harm = adversary.run(root, find_lesson("18-01"), attacks, workers=2, seconds=6.0)
    return root, {outcome.attack.name: outcome for outcome in outcomes}, harm


@pytest.mark.parametrize("name", CHOSEN)
def test_every_submission_gets_what_its_honest_part_deserves(graded, name):
    outcome = graded[1][name]
    assert outcome.seen and not outcome.leaked
    assert outcome.lost == outcome.expected


def test_nobody_else_is_harmed(graded):
    assert graded[2] == []


def test_the_gradebook_holds_every_result_and_waits_for_a_person_at_written_answers(graded):
    lesson = find_lesson("18-01")
    with Gradebook(f"sqlite:///{graded[0] / 'gradebook.db'}") as book:
        students = {entry.student.id: entry for entry in book.assignment_submissions(lesson.assignment)}
        assert {"aaa-first", "zzz-last", *CHOSEN} == set(students)
        honest = book.find_submission_notebook(lesson.slug, lesson.assignment, "aaa-first")
        grades = {grade.name: grade for grade in honest.grades}
        assert grades["explain-to-a-colleague"].needs_manual_grade
        assert not grades["masked-mean_full"].needs_manual_grade
        assert grades["masked-mean_full"].auto_score == grades["masked-mean_full"].max_score


def test_a_damaged_file_is_explained_in_notebook_and_feedback(graded):
    folder = Path("not-json") / "18-01-did-it-start"
    notebook = nbformat.read(graded[0] / "autograded" / folder / "did-it-start.ipynb", as_version=4)
    assert "is damaged" in notebook.cells[1].source
    assert "is damaged" in (graded[0] / "feedback" / folder / "did-it-start.html").read_text()


def test_grading_again_changes_nothing_and_grades_nobody(graded):
    files = [*(graded[0] / "autograded").rglob("*.*"), *(graded[0] / "feedback").rglob("*.html")]
    before = {file: file.stat().st_mtime_ns for file in files}
    assert grade_assignment(find_lesson("18-01"), graded[0]).graded == 0
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_export_writes_a_row_a_student(graded):
    done = subprocess.run(
        [sys.executable, "-m", "course.cli", "export", "18-01"],
        cwd=graded[0],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["student"] for row in rows} == {"aaa-first", "zzz-last", *CHOSEN}, done.stderr
    assert next(row["score"] for row in rows if row["student"] == "aaa-first") == "19.0"


def test_a_result_says_which_protection_and_which_seed_it_had(graded):
    file = graded[0] / "autograded" / ".results" / "18-01-did-it-start" / "aaa-first.json"
    result = json.loads(file.read_text())
    assert result["level"] == strongest() and result["seed"] > 0
