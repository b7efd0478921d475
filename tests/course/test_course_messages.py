"""The course's catalogue: every sentence in both languages, with the same placeholders, and none unused."""

import re
from pathlib import Path

import pytest

from course.messages import CATALOGUE, CourseError, placeholders
from minigpt.messages import LANGUAGES, use_language

COURSE = Path(__file__).parents[2] / "course"


def test_languages_have_the_same_keys_and_placeholders():
    first, second = (CATALOGUE.keys(code) for code in LANGUAGES)
    assert first == second and first
    for key in first:
        one, other = (CATALOGUE._texts(code)[key] for code in LANGUAGES)
        assert placeholders(one) == placeholders(other), key
        assert one.strip() and other.strip(), key
        assert not placeholders(one) & {"key", "code"}, f"{key}: reserved by Catalogue.text"


def test_every_key_in_the_code_exists():
    code = "\n".join(file.read_text(encoding="utf-8") for file in COURSE.glob("*.py"))
    areas = "|".join({key.split(".")[0] for key in CATALOGUE.keys("en")})
    used = set(re.findall(rf'"((?:{areas})\.[a-z-]+)"', code))
    files = {"lesson.py", "lesson.yaml", "recall.yaml"}
    assert used - files and used - files <= CATALOGUE.keys("en")


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_error_speaks_the_language_in_force(code):
    use_language(code)
    sentence = {"en": "There is no lesson “x”.", "es": "No hay ninguna lección «x»."}
    assert str(CourseError("lesson.unknown", given="x", hint="")) == sentence[code]
