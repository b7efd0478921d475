"""A leaf cites lessons by their number; where it gives a title, it is the lesson's own."""

import re

import pytest

from course.lesson import all_lessons
from minigpt.messages import CATALOGUE, LANGUAGES, message

CITED = {"en": r"(\d\d-\d\d) “(.+?)”", "es": r"(\d\d-\d\d) «(.+?)»"}
LEAVES = [key for key in sorted(CATALOGUE.keys("en")) if re.fullmatch(r"leaves\..+-lesson", key)]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_title_is_that_of_the_lesson(code):
    titles = {lesson.id: lesson.title[code] for lesson in all_lessons()}
    wrong = {}
    for key in LEAVES:
        for id, title in re.findall(CITED[code], message(key, code)):
            if id in titles and titles[id] != title:
                wrong[key] = titles[id]
    assert wrong == {}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_leaf_cites_a_lesson_and_both_languages_the_same(code):
    for key in LEAVES:
        numbers = re.findall(r"\d\d-\d\d", message(key, code))
        assert numbers and numbers == re.findall(r"\d\d-\d\d", message(key, "en")), key
