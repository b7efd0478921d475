"""Every lesson can be graded: the solution gets full marks in the sandbox, the untouched release none."""

import shutil

import pytest

from course.grade.classroom import grade_assignment
from course.grade.sandbox import strongest
from course.lesson import all_lessons

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.id)
def test_the_grader_gives_the_solution_full_marks_and_the_release_none(lesson, tmp_path):
    for student, kind in (("solution", "solutions"), ("untouched", "es")):
        file = tmp_path / "submitted" / student / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        shutil.copy(lesson.built(kind), file)
    results = grade_assignment(lesson, tmp_path, workers=1).results
    missed = {
        name: verdict["text"]
        for name, verdict in results["solution"]["checks"].items()
        if not verdict["passed"]
    }
    assert missed == {}
    assert results["untouched"]["points"] == 0
