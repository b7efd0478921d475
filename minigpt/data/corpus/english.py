"""English: conjugation of the six surfaces (listed in `spanish.py`) with do-support, and whole clauses."""

from __future__ import annotations

from minigpt.data.corpus.lexicon import Ask, Verb
from minigpt.data.corpus.subjects import Subject

_AM = {"1sg": "am", "3sg": "is"}
_WAS = {"1sg": "was", "3sg": "was"}


def be(person: str) -> str:
    """Return am, is or are."""
    return _AM.get(person, "are")


def have(person: str) -> str:
    """Return have or has."""
    return "has" if person == "3sg" else "have"


def verb_parts(verb: Verb, surface: str, person: str) -> tuple[str, str, str]:
    """Return (auxiliary or "", finite main verb, main verb after an auxiliary or do).

    ("", "works", "work") for the present third person: "he works", "he does not work";
    ("has", "worked", "worked") for the participle.
    """
    if surface == "participle":
        return have(person), verb.english_participle, verb.english_participle
    if surface == "will":
        return "will", verb.base, verb.base
    if surface == "going-to":
        return be(person), f"going to {verb.base}", f"going to {verb.base}"
    if surface == "infinitive":
        return "", f"{have(person)} to {verb.base}", f"have to {verb.base}"
    if verb.base == "be":
        return (be(person) if surface == "present" else _WAS.get(person, "were")), "", ""
    if surface == "past":
        return "", verb.english_past, verb.base
    return "", verb.third if person == "3sg" else verb.base, verb.base


def clause(
    verb: Verb,
    surface: str,
    form: str,
    subject: Subject,
    complement: str = "",
    time: str = "",
    place: str = "",
    ask: Ask | None = None,
) -> str:
    """Return an English clause without capital or full stop; the arguments are those of `spanish.clause`."""
    auxiliary, main, plain = verb_parts(verb, surface, subject.person)
    never = time == "never"
    mid = time if place == "mid" else ""
    end = time if place in ("end", "yet") else ""
    front = time if place == "front" else ""
    inverted = form in ("question", "open-question")
    if not auxiliary and (inverted or (form == "negative" and not never)):
        auxiliary = "did" if surface == "past" else ("does" if subject.person == "3sg" else "do")
        main = plain
    tail = (verb.particle, complement, ask.stranded if ask else "", end)
    if inverted:
        question = _join(ask.english if ask else "", auxiliary, subject.english, mid, main, *tail)
        return f"{question}?"
    negation = "not" if form == "negative" and not never else ""
    return _join(front, subject.english, auxiliary, negation, mid, main, *tail)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
