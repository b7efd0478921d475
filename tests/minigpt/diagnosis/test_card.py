"""The card of thresholds says what the tree does, and the printed ones in docs/ are up to date."""

import re
from pathlib import Path

import pytest

from minigpt.diagnosis import QUESTIONS
from minigpt.diagnosis.card import as_html, as_markdown
from minigpt.messages import LANGUAGES

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("make", "suffix"), [(as_markdown, "md"), (as_html, "html")])
def test_what_lies_in_docs_is_what_the_tree_says(make, suffix, language, command):
    card = make(language)
    form = ["--html"] if suffix == "html" else []
    assert command("card", *form, "--lang", language).out == card
    fix = f"minigpt card {' '.join(form)} --lang {language} > docs/card.{language}.{suffix}"
    assert (DOCS / f"card.{language}.{suffix}").read_text(encoding="utf-8") == card, fix


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_and_every_leaf_is_on_it_and_each_action_once(language):
    lines = as_markdown(language).splitlines()
    for question in QUESTIONS:
        (row,) = [line for line in lines if line.startswith(f"| **{question.id}** ")]
        assert all(f"`{leaf}`" in row for leaf in question.leaves)
    told = re.findall(r"`([a-z0-9-]+)` \w", "\n".join(lines))
    assert sorted(told) == sorted({leaf for question in QUESTIONS for leaf in question.leaves})


def test_the_page_asks_for_nothing_from_elsewhere():
    assert not re.search(r"https?://|src=|url\(|@import", as_html("en"))
