"""What JupyterLab's language pack leaves in English is said in Spanish, by the server's own answer."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from jupyterlab_server.translation_utils import get_language_pack

from course.landing.words import DOMAIN, NAMES, buttons, completed, names, words

SHARED = Path(sys.prefix) / "share" / "jupyter"
PLACEHOLDER = re.compile(r"%\d")


@pytest.fixture(scope="module")
def spoken() -> bytes:
    """The code and the schemas of the installed JupyterLab, in which each of its English words stands."""
    kinds = ("lab/static/*.js", "lab/schemas/**/*.json", "labextensions/@jupyter-widgets/*/static/*.js")
    return b"".join(file.read_bytes() for kind in kinds for file in SHARED.glob(kind))


def test_each_word_is_one_that_jupyterlab_says(spoken):
    def quoted(english):
        text = english.rpartition("\x04")[2]
        flat = text.replace("\n", "\\n")
        ways = (f"`{text}`", f'"{flat}"', f"'{flat}'", json.dumps(flat, ensure_ascii=False))
        return [way.encode() for way in ways]

    assert [english for english in words("es") if not any(way in spoken for way in quoted(english))] == []


def test_no_placeholder_is_lost():
    for english, own in words("es").items():
        asked, *said = ({*PLACEHOLDER.findall(text)} for text in (english.rpartition("\x04")[2], *own))
        several = len(said) == 2  # one of a thing may do without its number, several of it have one
        assert said[0] == asked or (several and said[0] == asked - {"%1"}), english
        assert said[-1] == (asked | {"%1"} if several and "%1" in own[-1] else asked), english


def test_the_answer_of_the_server_holds_the_packs_words_and_ours():
    pack, _ = get_language_pack("es_ES")
    answer, message = completed(get_language_pack)("es_ES")
    assert message == "" and answer.keys() == pack.keys()
    assert answer[DOMAIN]["menu\x04Run"] == ["Ejecutar"] and answer[DOMAIN]["Busy"] == ["Ocupado"]
    kept = [word for word in pack[DOMAIN] if word not in words("es")]
    assert kept and all(answer[DOMAIN][word] == pack[DOMAIN][word] for word in kept)


def test_english_gets_nothing_of_it():
    assert completed(lambda locale: ({}, "not installed"))("en") == ({}, "not installed")
    assert buttons("en") == {} and words("en") == {} and names("en") == {}


def test_every_name_for_a_screen_reader_has_a_word():
    assert [*names("es")] == [*NAMES]


@pytest.mark.parametrize(
    "english", ["Prompt to top", "End Search", "Activity Bar Position: %1", "New %1 File"]
)
def test_a_command_of_the_palette_is_said_in_spanish(english):
    answer, _ = completed(get_language_pack)("es_ES")
    assert answer[DOMAIN][english][0] not in ("", english)


def test_the_words_of_the_button_are_those_of_nbgrader():
    files = (SHARED / "labextensions" / "@jupyter" / "nbgrader" / "static").glob("*.js")
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [english for english in buttons("es") if f'"{english}"' not in code] == []
