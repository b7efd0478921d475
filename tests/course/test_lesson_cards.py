"""A lesson's tables state no threshold that the stability check does not have."""

import re
from pathlib import Path

import pytest

from minigpt.diagnosis import QUESTIONS

LESSONS = sorted((Path(__file__).resolve().parents[2] / "course/lessons").glob("phase-*/*/lesson.py"))
WINDOWS = {100, 200}  # steps that a rate is given for, or spikes are counted in
PLAIN = {0, 1}  # nothing, all, and the step counted from
OF_THE_LESSON = {  # figures that are no threshold of a question
    "lr-discontinuous": {3},  # times the steepest place of the schedule
    "no-bias-correction": {1.85, 5},  # what its broken optimizer does
}


def thresholds(name):
    """Return the thresholds that a leaf, a question or a section goes by; None for what is no such name."""
    questions = [
        question
        for question in QUESTIONS
        if name in question.leaves or name in (question.id, question.id.partition(".")[0])
    ]
    limits = {abs(limit) for question in questions for limit in question.thresholds.values()}
    return limits | {100 * limit for limit in limits if limit < 1} if questions else None


def rows(lesson):
    """Yield the name that a row of a table begins with, and the figures in the rest of it."""
    for line in lesson.read_text(encoding="utf-8").splitlines():
        named = re.match(r"# \| (?:`([a-z0-9-]+)`|\*\*([0-9.b]+)\*\*)(.*)", line)
        if named:
            text = re.sub(r"`[^`]*`|√\(.*?\)|\b\d\d-\d\d\b|β\d", "", named[3])
            yield named[1] or named[2], [float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.parent.name)
def test_every_figure_in_a_table_is_one_of_the_tree(lesson):
    for name, figures in rows(lesson):
        limits = thresholds(name)
        if limits is not None:
            allowed = limits | WINDOWS | PLAIN | OF_THE_LESSON.get(name, set())
            strange = [figure for figure in figures if min(abs(figure - x) for x in allowed) > 1e-9]
            assert not strange, f"{name}: {strange} is none of {sorted(limits)}"


def test_the_tables_are_found():
    found = [name for lesson in LESSONS for name, figures in rows(lesson) if figures and thresholds(name)]
    assert {"always-clipping", "1.2", "diverging", "weight-mean", "3"} <= set(found)
