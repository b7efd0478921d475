"""What is committed below phase-*/ and solutions/ is what `course build` makes from the lessons."""

from course.build import differences, orphans
from course.lesson import all_lessons


def test_the_built_notebooks_are_current():
    assert [sentence for lesson in all_lessons() for sentence in differences(lesson)] == []


def test_no_built_notebook_is_left_over():
    assert orphans(all_lessons()) == []
