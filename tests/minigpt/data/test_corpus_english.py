"""Every English form of the corpus, against lemminflect; every mis-conjugated one too."""

import pytest
from lemminflect import getInflection

from minigpt.data.corpus import table_cells
from minigpt.data.corpus.english import verb_parts
from minigpt.data.corpus.lexicon import english_parts, verbs
from minigpt.data.corpus.subjects import PERSONS


def forms(base: str, tag: str) -> tuple[str, ...]:
    return getInflection(base, tag)


@pytest.mark.parametrize("verb", verbs().values(), ids=lambda verb: verb.spanish)
def test_every_form_is_the_conjugators(verb):
    assert verb.third in forms(verb.base, "VBZ")
    assert verb.english_past in forms(verb.base, "VBD")
    assert verb.english_participle in forms(verb.base, "VBN")


def test_be_in_every_person():
    be = verbs()["estar"]
    present = [verb_parts(be, "present", person)[0] for person in PERSONS]
    past = [verb_parts(be, "past", person)[0] for person in PERSONS]
    assert present == ["am", "are", "is", "are", "are", "are"]
    assert past == ["was", "were", "was", "were", "were", "were"]


def test_lexicon_repeats_no_regular_form():
    for verb in verbs().values():
        parts = (verb.base, verb.third, verb.english_past, verb.english_participle)
        assert verb.regular == (parts == english_parts(verb.base)), verb.base


def test_mis_conjugated_english_is_no_form_of_the_verb():
    """The wrong word is not what the verb, or any verb of the lexicon, has in that place."""
    bases = {verb.base for verb in verbs().values()}
    pasts = {form for base in bases for form in forms(base, "VBD")}
    participles = {form for base in bases for form in forms(base, "VBN")}
    for wrong in table_cells("mis-conjugated"):
        if not wrong.mistake.startswith("en-"):
            continue
        subject, *words = wrong.english.split()
        if wrong.mistake == "en-over-regular":
            assert words[-1] not in (participles if wrong.surface == "participle" else pasts)
        elif wrong.mistake == "en-not-base-form":
            assert words[-1] not in bases
        elif wrong.mistake == "en-not-participle":
            assert words[-1] not in participles
        else:
            assert not agrees(subject, words[0], wrong.surface), wrong


def agrees(subject: str, word: str, surface: str) -> bool:
    """Whether a finite word goes with I, you or he."""
    if word in ("am", "is", "are"):
        return {"I": "am", "you": "are", "he": "is"}[subject] == word
    if word in ("was", "were"):
        return (word == "were") == (subject == "you")
    assert surface in ("present", "participle", "infinitive")
    third = any(word in forms(verb.base, "VBZ") for verb in verbs().values())
    return third == (subject == "he")
