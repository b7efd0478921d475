"""Both catalogues, minigpt's and the course's: the same in both languages, and what the code asks of them."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import course.messages
import minigpt.messages
from minigpt.messages import LANGUAGES, filled

CATALOGUES = {"minigpt": minigpt.messages.CATALOGUE, "course": course.messages.CATALOGUE}
both = pytest.mark.parametrize("package", CATALOGUES)


def placeholders(text: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(text) if name is not None}


def calls(package: str):
    """Yield (place, key as a regular expression, names of the values) of every message that is asked for."""
    for path in sorted(Path(CATALOGUES[package].folder).parent.rglob("*.py")):
        if "lessons" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = 1 if name == "_require" else 0
            if (
                name not in ("message", "_require")
                and not name.endswith("Error")
                or len(node.args) <= position
            ):
                continue
            key = as_pattern(node.args[position])
            if key is None or name != "_require" and r"\." not in key:
                continue
            key = rf"config\.{key}" if name == "_require" else key
            given = {keyword.arg for keyword in node.keywords}
            yield f"{path.name}:{node.lineno}", key, None if None in given else given


def as_pattern(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in node.values]
        return "".join(parts)
    return None


@both
def test_both_languages_have_the_same_keys_with_the_same_placeholders(package):
    catalogue = CATALOGUES[package]
    assert catalogue.keys("en") == catalogue.keys("es")
    for key in sorted(catalogue.keys("en")):
        texts = {code: catalogue._texts(code)[key] for code in LANGUAGES}
        assert placeholders(texts["en"]) == placeholders(texts["es"]), key
        assert all(text.strip() for text in texts.values()), key


@both
def test_every_message_that_the_code_asks_for_exists_and_gets_its_values(package):
    catalogue = CATALOGUES[package]
    keys = catalogue.keys("en") | minigpt.messages.CATALOGUE.keys("en")  # the course speaks minigpt's too
    texts = minigpt.messages.CATALOGUE._texts("en") | catalogue._texts("en")
    found = list(calls(package))
    assert len(found) > 10
    for place, pattern, given in found:
        matching = [key for key in keys if re.fullmatch(pattern, key)]
        assert matching, f"{place} asks for {pattern}"
        if len(matching) == 1 and given is not None:
            missing = placeholders(texts[matching[0]]) - given
            assert not missing, f"{place} gives {matching[0]} no {missing}"


@pytest.mark.parametrize("language", LANGUAGES)
@both
def test_quotation_marks_are_those_of_the_language(package, language):
    wrong = "“”" if language == "es" else "«»"
    for key, text in CATALOGUES[package]._texts(language).items():
        assert not set(wrong) & set(text), key


def test_a_per_cent_sign_stands_apart_in_spanish_and_close_in_english():
    template = "{share:.0%} de {limits[odd]:.1%}, {name}"
    values = {"share": 0.5, "limits": {"odd": 0.25}, "name": "50%.jsonl"}
    assert filled(template, "es", values) == "50\u00a0% de 25.0\u00a0%, 50%.jsonl"
    assert filled(template, "en", values) == "50% de 25.0%, 50%.jsonl"
    with pytest.raises(KeyError):
        filled(template, "es", {})


@pytest.mark.parametrize("language", LANGUAGES)
def test_large_numbers_are_written_in_plain_digits(language):
    values = {"norm": 6234.5, "scale": 2.0**26, "change": -1e6, "rate": 3e-4, "huge": 1e20, "count": 7}
    text = filled("{norm:.3g} {scale:g} {change:+g} {rate:g} {huge:g} {count}", language, values)
    assert text == "6,234 67,108,864 -1,000,000 0.0003 1e+20 7"


def test_no_spanish_message_writes_a_per_cent_sign_in_another_way():
    found = {}
    for package, catalogue in CATALOGUES.items():
        for key in catalogue.keys("es"):
            prose = re.sub(r"\{[^{}]*\}", "", catalogue.template(key, "es"))
            if wrong := re.findall(r"\d ?%", prose):
                found[package, key] = wrong
    assert found == {}
