"""Every answer of every lesson, in both languages, through stock nbgrader: it says what `course check` says.

Slow, several minutes a lesson, so it runs only when asked for:

    python -m pytest -m slow tests/course/test_stock_agreement.py
"""

import pytest

from course.lesson import ROOT, all_lessons
from minigpt.messages import LANGUAGES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.assignment)
def test_stock_nbgrader_and_course_check_agree_on_every_answer(lesson, classroom):
    room = classroom(lesson, ROOT)
    for code in LANGUAGES:
        room.submit(f"solution-{code}", code, room.solutions)
        room.submit(f"untouched-{code}", code, {})
    room.submit_answers(both=True)
    room.grade(feedback=False)
    for code in LANGUAGES:
        assert room.lost(f"solution-{code}") == set()
        assert room.lost(f"untouched-{code}") == set(lesson.checks)
    assert room.disagreements() == {}
