"""Everything the corpus can say: each item, and all the correct pairs "spanish / english" of an item.

An item is (verb, surface, person, form). It is the unit of the train/validation split: all of its lines lie
on one side, so that a validation line is a conjugation whose verb, surface and person were never seen
together in that form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from minigpt.data.corpus import english, spanish
from minigpt.data.corpus.lexicon import FORMS, Ask, Complement, Time, Verb, times, verbs
from minigpt.data.corpus.subjects import PERSONS, Subject, agree, of_person

VALIDATION_ONE_IN = 10  # items in each validation item


@dataclass(frozen=True)
class Item:
    """One thing to learn: a verb (by its Spanish infinitive) in a surface, a person and a form."""

    verb: str
    surface: str
    person: str
    form: str

    @property
    def side(self) -> str:
        """`train` or `validation`, from a hash of the item alone: adding verbs moves no item."""
        return "validation" if digest(str(self)) % VALIDATION_ONE_IN == 0 else "train"

    def __str__(self) -> str:
        return "|".join((self.verb, self.surface, self.person, self.form))


@dataclass(frozen=True)
class Pair:
    """One correct line, and which of its optional parts it has."""

    spanish: str
    english: str
    has_complement: bool
    has_time: bool

    def __str__(self) -> str:
        return f"{self.spanish} / {self.english}"


def digest(text: str) -> int:
    """Return a number that depends on the text alone: the first eight bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def items() -> Iterator[Item]:
    """Yield every item of every verb."""
    for verb in verbs():
        for surface in spanish.SURFACES:
            for person in PERSONS:
                for form in FORMS:
                    yield Item(verb, surface, person, form)


def pairs(item: Item) -> tuple[Pair, ...]:
    """Return every correct pair of an item, each once, in a fixed order; some items have none."""
    verb = verbs()[item.verb]
    asks = verb.asks if item.form == "open-question" else (None,)
    found = {}
    for subject in of_person(item.person):
        for ask in asks:
            for complement in _complements(verb, item, ask):
                for time, place in _times(verb, item, ask):
                    if time and _clash(verb, ask, complement, time):
                        continue
                    pair = _pair(verb, item, subject, ask, complement, time, place)
                    found[str(pair)] = pair
    return tuple(found.values())


def cell(verb: str, surface: str, person: str) -> Pair:
    """Return the bare affirmative pair, as in the verb table: "yo trabajo / I work" (3sg: él)."""
    return _pair(
        verbs()[verb], Item(verb, surface, person, "affirmative"), of_person(person)[0], None, None, None, ""
    )


def _pair(
    verb: Verb,
    item: Item,
    subject: Subject,
    ask: Ask | None,
    complement: Complement | None,
    time: Time | None,
    place: str,
) -> Pair:
    spanish_complement, english_complement = (
        (agree(complement.spanish, subject), agree(complement.english, subject)) if complement else ("", "")
    )
    plural = complement.plural if complement else False
    spanish_time, english_time = (time.spanish, time.english) if time else ("", "")
    return Pair(
        spanish.clause(
            verb, item.surface, item.form, subject, spanish_complement, plural, spanish_time, place, ask
        ),
        english.clause(verb, item.surface, item.form, subject, english_complement, english_time, place, ask),
        has_complement=complement is not None,
        has_time=time is not None,
    )


def _clash(verb: Verb, ask: Ask | None, complement: Complement | None, time: Time) -> bool:
    """Return whether the time cannot stand in this sentence: "early now", or "she will be tomorrow"."""
    if complement is None:
        return ask is None and not verb.bare
    return complement.adverb and not time.beside_adverb


def _complements(verb: Verb, item: Item, ask: Ask | None) -> Iterator[Complement | None]:
    """The complements that the sentence can take; None stands for none."""
    asked = ask.kind if ask else ""
    if asked == "what" and item.surface == "infinitive" and all(each.free for each in verb.complements):
        return
    if (
        asked in ("what", "where", "whereto", "with")
        or verb.bare
        or (verb.in_table and item.form == "affirmative")
    ):
        yield None
    if asked in ("what", "where", "whereto", "with"):
        return
    for complement in verb.complements:
        if complement.free and item.surface == "infinitive":
            continue
        if asked == "where+" and not complement.direct or asked == "when" and complement.adverb:
            continue
        yield complement


def _times(verb: Verb, item: Item, ask: Ask | None) -> Iterator[tuple[Time | None, str]]:
    """The time expressions that the sentence can take, each with its place; None stands for none."""
    told_by_time = spanish.ambiguous(verb, item.surface, item.person)
    asked = ask.kind if ask else ""
    if asked == "when":
        # "When have you worked?" is no question English asks, and nosotros trabajamos would need its time.
        if item.surface != "participle" and not told_by_time:
            yield None, ""
        return
    if not told_by_time:
        yield None, ""
    for time in times():
        if (
            item.surface not in time.surfaces
            or not verb.aspects & time.aspects
            or item.form not in time.forms
        ):
            continue
        if time.spanish in verb.not_at:
            continue
        for place in time.places:
            if place == "front" and item.form in ("question", "open-question"):
                continue
            if place == "mid" and ask is not None:
                continue
            yield time, place
