"""Stock nbgrader: one gradebook column for both languages; every answer gets what `course check` says."""

import os
import subprocess
import sys

import nbformat
import pytest

from course.lesson import ROOT, find_lesson
from minigpt.messages import LANGUAGES


@pytest.fixture(scope="module")
def graded(classroom, built):
    """A class that handed in the solution and the untouched release in both languages, and every mutant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_LESSONS", str(ROOT / "tests/course/fixtures/lessons"))
        room = classroom(find_lesson("18-90"), built)
        for code in LANGUAGES:
            room.submit(f"solution-{code}", code, room.solutions | {"explain": "The logits are too large."})
        room.submit("untouched-es", "es", {})
        room.submit_answers()
        room.grade()
        yield room


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_solution_scores_full_marks_in_both_languages(graded, code):
    points = graded.points(f"solution-{code}")
    assert points.pop("explain") == (None, 2.0), "a written answer waits for a person"
    assert points and all(got == worth for got, worth in points.values())


def test_the_untouched_release_scores_nothing(graded):
    assert {got for got, _ in graded.points("untouched-es").values()} == {0.0}


def test_every_answer_loses_points_exactly_at_the_checks_that_it_names(graded):
    assert len(graded.rows) == 4
    assert graded.disagreements() == {}


def test_feedback_explains_in_the_language_of_the_submission(graded):
    assert "todavía no está escrito" in graded.feedback("untouched-es")
    students = list(graded.rows)  # English, Spanish, English, …
    assert "expected: " in graded.feedback(students[2])
    assert "se esperaba: " in graded.feedback(students[1])


def test_a_page_of_stock_nbgrader_asks_no_machine_outside_either(graded):
    assert 'src="http' not in graded.feedback("solution-en")


def test_nbgrader_makes_the_english_release_byte_for_byte(graded, built):
    lesson = graded.lesson
    assert lesson.built("en", graded.root).read_bytes() == lesson.built("en", built).read_bytes()


def test_validate_passes_the_solution_and_explains_a_stub(graded, built):
    for kind, sentence in (("solutions", "Success!"), ("es", "todavía no está escrito")):
        file = graded.lesson.built(kind, built)
        assert sentence in " ".join(graded.nbgrader("validate", file.name, folder=file.parent).stdout.split())


@pytest.mark.parametrize(
    ("words", "variable", "phase"),
    [((), None, "18"), (("autograde", "19-01-x", "--force"), None, "19"), ((), "19", "19")],
)
def test_nbgrader_started_in_the_root_reads_the_settings_of_the_course(words, variable, phase):
    program = (
        "from nbgrader.apps import NbGraderApp; app = NbGraderApp(); app.initialize([]);"
        "print(app.coursedir.source_directory, app.coursedir.release_directory)"
    )
    environment = os.environ | ({"COURSE_PHASE": variable} if variable else {})
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.split() == [f"solutions/phase-{phase}", f"phase-{phase}/en"], done.stderr


def test_a_submission_of_the_notebook_alone_keeps_its_language(graded):
    folder = graded.root / "autograded" / "untouched-es" / graded.lesson.assignment
    assert [file.suffix for file in folder.iterdir()] == [".ipynb"]
    notebook = nbformat.read(folder / f"{graded.lesson.slug}.ipynb", as_version=4)
    assert notebook.metadata["lesson"]["lang"] == "es"
