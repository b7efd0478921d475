"""Honest work keeps its marks through the real command, whatever an editor, a browser or a hand did to it."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from honest_variants import SLUG, VARIANTS, notebooks
from nbgrader.api import Gradebook

from course.grade.sandbox import strongest
from course.lesson import ROOT

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
ASSIGNMENT = "18-01-did-it-start"
LATER = "hands-in-again"


def hand_in(root: Path, student: str, files: dict[str, bytes]) -> None:
    folder = root / "submitted" / student / ASSIGNMENT
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def course(root: Path, *words: str) -> str:
    """Run the real command in the course directory; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "course.cli", *words],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MINIGPT_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def marks(root: Path) -> dict[str, float]:
    """Automatic points by student, as the gradebook has them."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        return {entry.student.id: entry.score for entry in book.assignment_submissions(ASSIGNMENT)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class in which everybody handed in one of the variants."""
    root = tmp_path_factory.mktemp("honest")
    mine, blank = notebooks()
    for name, (make, _) in VARIANTS.items():
        hand_in(root, name, make(copy.deepcopy(mine), copy.deepcopy(blank)))
    hand_in(root, LATER, {SLUG: json.dumps(mine).encode()})
    return root, course(root, "grade", "18-01")


@pytest.mark.parametrize("name", VARIANTS)
def test_honest_work_keeps_its_marks(graded, name):
    root, _ = graded
    assert marks(root)[name] == VARIANTS[name][1]
    for kind, suffix in (("feedback", "html"), ("autograded", "ipynb")):
        assert (root / kind / name / ASSIGNMENT / SLUG).with_suffix(f".{suffix}").is_file()


def test_a_syntax_error_is_called_that(graded):
    page = graded[0] / "feedback" / "a-syntax-error-in-one-answer" / ASSIGNMENT / SLUG
    text = " ".join(page.with_suffix(".html").read_text(encoding="utf-8").split())
    assert "is not valid Python. Line 1, `def masked_mean(losses, mask)`: expected ':'" in text
    assert "“masked_mean” is not written yet" not in text


def test_prose_in_a_new_cell_waits_for_a_person_and_is_shown(graded):
    page = graded[0] / "autograded" / "prose-in-a-new-cell" / ASSIGNMENT / SLUG
    assert "The scale of the logits" in page.read_text(encoding="utf-8")
    with Gradebook(f"sqlite:///{graded[0] / 'gradebook.db'}") as book:
        notebook = book.find_submission_notebook("did-it-start", ASSIGNMENT, "prose-in-a-new-cell")
        assert {g.name: g.needs_manual_grade for g in notebook.grades}["explain-to-a-colleague"]


def test_what_a_person_should_compare_is_told(graded):
    told = graded[1]
    for sentence in (
        "Several notebooks hold answers. “did-it-start (2).ipynb” was graded",
        "was taken from a cell of the student’s own",
        "both sides of a merge",
        "init-weights hands its work to minigpt.model.gpt.init_weights",
        "more; all of them are on the feedback page",  # nobody fills the teacher's screen
    ):
        assert sentence in told


def test_later_work_that_cannot_be_read_does_not_replace_good_work(graded):
    root, _ = graded
    assert marks(root)[LATER] == 19
    hand_in(root, LATER, {SLUG: b'{"cells": ['})
    told = course(root, "grade", "18-01", "--students", LATER)
    assert marks(root)[LATER] == 19 and "The one before it was graded" in told
