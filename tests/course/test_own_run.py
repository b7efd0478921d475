"""Every lesson ends with the same thing on somebody else's loop, and that cell is run and compared."""

import pytest

from course.lesson import all_lessons
from course.source import read_source

OURS = ("build_model", "Recipe(")  # what makes the model of this course
ELSEWHERE = {"18-09"}  # about other loops from beginning to end, so its section only says where to begin


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.id)
def test_a_lesson_ends_on_a_loop_that_is_not_ours(lesson):
    cells = read_source(lesson.folder / "lesson.py")
    at = next(number for number, cell in enumerate(cells) if cell.grade_id == "own-run")
    assert "On your own run" in cells[at].texts["en"] and "En tu propio run" in cells[at].texts["es"]
    assert "Where this comes from" in "".join(cell.texts.get("en", "") for cell in cells[at:])
    if lesson.id not in ELSEWHERE:
        code = cells[at + 1]
        assert not code.is_markdown and code.compare
        assert not [word for word in OURS if word in code.text]
