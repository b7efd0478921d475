"""Every sentence that a person reads, spell-checked by hunspell in its own language.

Words that the dictionaries do not know and that are right stand in `spelling.en.txt` and `spelling.es.txt`,
one a line, sorted; each was reviewed. Code, formulas, placeholders and links are no prose.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import course.messages
import minigpt.messages
from course.glossary import without_code
from course.lesson import ROOT, all_lessons
from course.source import read_source
from minigpt.messages import LANGUAGES

DICTIONARIES = {"en": "en_US", "es": "es_ES"}
PAGES = {
    "en": (
        *("README.md", "minigpt/README.md", "course/README.md"),
        *("docs/instructor.md", "docs/monitor.md", "docs/seeds.md", "CHANGELOG.md"),
    ),
    "es": (
        "README.es.md",
        *("docs/instructor.es.md", "docs/minigpt.es.md", "docs/monitor.es.md", "docs/seeds.es.md"),
    ),
}
AMERICAN = {"gray", "color", "colors", "center", "centers", "centered", "behavior"}
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NO_PROSE = re.compile(
    r"<[^>]*>|https?://\S+|\b\w+(?:[._/]\w+)+|\b\w+/(?!\w)|\b\w+\(\)|\b\w*\d\w*\b|&\w+;|\w*[α-ωᵢ-ᵪₐ-ₜ²³]\w*"
)


@pytest.fixture(scope="module")
def hunspell() -> str:
    """The program; without it or its dictionaries, skip here and fail in continuous integration."""
    program = shutil.which("hunspell")
    listed = (
        subprocess.run([program, "-D"], input="", capture_output=True, text=True).stderr if program else ""
    )
    missing = [name for name in DICTIONARIES.values() if f"/{name}" not in listed]
    if missing:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("the spelling test needs Debian's hunspell, hunspell-en-us and hunspell-es")
    return program


@pytest.mark.parametrize("code", LANGUAGES)
def test_spelling(hunspell: str, code: str):
    known = set(exceptions(code))
    places = defaultdict(list)
    for place, text in texts(code):
        for word in words(text):
            places[word].append(place)
    unknown = {word for word in misspelt(hunspell, code, places.keys()) if not {word, small(word)} & known}
    if code == "es":
        bare = {word: without_pronoun(word) for word in unknown}
        unknown -= {word for word in unknown if bare[word] and not misspelt(hunspell, code, [bare[word]])}
    assert {word: places[word][:3] for word in sorted(unknown)} == {}


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_exceptions_are_sorted_and_each_is_one(hunspell: str, code: str):
    listed = exceptions(code)
    assert listed == sorted(set(listed), key=lambda word: (word.lower(), word))
    assert sorted(set(listed) - misspelt(hunspell, code, listed)) == [], "the dictionary knows these"


@pytest.mark.parametrize(("code", "wrong"), [("en", "recieve"), ("es", "aprendisaje")])
def test_a_wrong_word_is_found(hunspell: str, code: str, wrong: str):
    assert misspelt(hunspell, code, [wrong, "loss", "no"]) >= {wrong}
    assert "no" not in misspelt(hunspell, code, ["no"])
    assert words(f"`{wrong}` {{{wrong}}} [here]({wrong}) --{wrong} a.{wrong} GPT x1 a") == ["here"]


def test_pronouns_are_taken_off():
    forms = ("escríbelo", "Comprométete", "sortéalos", "muéstramelo", "escribelo", "página")
    assert [without_pronoun(word) for word in forms] == ["escribe", "compromete", "sortea", "muestra", "", ""]


def test_english_is_british_throughout():
    british = [word for word in exceptions("en") if re.search(r"is(e[ds]?|ing|ations?)$", word)]
    american = {re.sub(r"is(e[ds]?|ing|ations?)$", r"iz\1", word) for word in british} | AMERICAN
    used = {place: american & {word.lower() for word in words(text)} for place, text in texts("en")}
    assert {place: found for place, found in used.items() if found} == {}


def exceptions(code: str) -> list[str]:
    """The reviewed words of a language."""
    return (Path(__file__).parent / f"spelling.{code}.txt").read_text(encoding="utf-8").splitlines()


def words(text: str) -> list[str]:
    """The words of a text's prose, without acronyms and without the ’s of English."""
    found = _WORD.findall(_NO_PROSE.sub(" ", without_code(text)))
    bare = [re.sub(r"['’]s$", "", word) for word in found]
    return [word for word in bare if len(word) > 1 and not word.isupper()]


def small(word: str) -> str:
    """The word as it stands inside a sentence: `Loss` → `loss`."""
    return word[0].lower() + word[1:]


def without_pronoun(word: str) -> str:
    """A Spanish verb without the pronouns joined to it: `escríbelo` → `escribe`; or nothing."""
    found = re.fullmatch(r"(\w*[áéíóú]\w*?[aeiour])(?:[mts]e|nos)?(?:l[aeo]s?|[mts]e|nos)", word.lower())
    return found[1].translate(str.maketrans("áéíóú", "aeiou")) if found else ""


def misspelt(program: str, code: str, given) -> set[str]:
    """Those of the words that the dictionary does not know."""
    command = [program, "-i", "utf-8", "-d", DICTIONARIES[code], "-l"]
    done = subprocess.run(command, input="\n".join(given), capture_output=True, encoding="utf-8", check=True)
    return set(done.stdout.split())


def texts(code: str) -> Iterator[tuple[str, str]]:
    """Every text of a language, and where it stands."""
    for lesson in all_lessons():
        for cell in read_source(lesson.folder / "lesson.py"):
            if cell.is_markdown:
                yield f"{lesson.id} {cell.name}", cell.texts[code]
        for key, text in lesson.texts.by_language[code].items():
            yield f"{lesson.id} messages {key}", text
        for question in lesson.recall:
            yield f"{lesson.id} recall", f"{question.ask[code]} {question.answer[code]}"
        yield f"{lesson.id} lesson.yaml", f"{lesson.title[code]} {lesson.prerequisites[code]}"
    for catalogue in (course.messages.CATALOGUE, minigpt.messages.CATALOGUE):
        for key in sorted(catalogue.keys(code)):
            yield f"{catalogue.folder.parent.name} {key}", catalogue.template(key, code)
    for name in PAGES[code]:
        yield name, (ROOT / name).read_text(encoding="utf-8")
