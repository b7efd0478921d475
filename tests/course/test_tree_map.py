"""The map above each lesson: made from the trees, this lesson's section lit in colour and in words."""

import re

import pytest

from course.lesson import all_lessons
from course.messages import message
from course.tree_map import FULL, HERE, LIT, lesson_of, section_of, teacher_of, tree_map
from minigpt import diagnosis
from minigpt.messages import LANGUAGES

LESSONS = all_lessons()


def boxes(lesson, code="en"):
    chart = tree_map(lesson, LESSONS, code, lambda other: f"{other.id}.html")
    return chart, re.findall("<td.*?</td>", chart)


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_one_section_is_lit_and_every_question_is_there(lesson, code):
    chart, found = boxes(lesson, code)
    lit = [box for box in found if LIT in box]
    assert len(found) == len({(question.tree, question.section) for question in diagnosis.QUESTIONS})
    assert sum(map(len, re.findall("[●○]+", "".join(found)))) == len(diagnosis.QUESTIONS)
    if section_of(lesson.id) is None:
        assert not lit and FULL not in chart and message("build.map-whole", code) in chart
    else:
        assert [box.count(HERE) for box in lit] == [1] and FULL in lit[0]
        assert section_of(lesson.id)[1] + " · " in chart.rpartition("</table>")[2]


def test_a_lesson_of_the_first_phase_lights_the_section_of_its_number():
    lit = {lesson.id: section_of(lesson.id) for lesson in LESSONS if lesson.phase == "phase-18"}
    assert {one: found[1] for one, found in lit.items() if found} == {f"18-0{n}": str(n) for n in range(1, 7)}


def test_every_section_leads_to_a_lesson_that_lights_it():
    for tree in diagnosis.TREES:
        for section in {question.section for question in tree.questions}:
            teacher = teacher_of(tree, section, [lesson.id for lesson in LESSONS])
            assert section_of(teacher) == (tree.id, section)


def test_a_box_links_to_its_lesson_but_not_to_this_one():
    lesson = next(lesson for lesson in LESSONS if lesson.id == "18-02")
    chart, _ = boxes(lesson)
    assert 'href="18-03.html"' in chart and 'href="18-02.html"' not in chart


def test_every_leaf_names_a_lesson():
    leaves = {leaf for question in diagnosis.QUESTIONS for leaf in question.leaves}
    assert {lesson_of(leaf) for leaf in leaves} <= {lesson.id for lesson in LESSONS}
