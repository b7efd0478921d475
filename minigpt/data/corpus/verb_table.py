"""The verb table of the course: 360 cells, each conjugated correctly and once mis-conjugated.

20 verbs × 6 surfaces × 3 persons. `verb_table.tsv` has two rows a cell; `read_cells` reads them. A
mis-conjugated row has one side wrong, and its mistake is one of `MISTAKES`; the prefix says in which language
it is wrong. Every wrong form is no form at all of that verb beside that subject: the tests prove it with real
conjugators. A verb is "regular" or "irregular" in English, as the lexicon says; in Spanish jugar, querer and
empezar are irregular too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from minigpt.data.corpus import english, spanish
from minigpt.data.corpus.grammar import Item, cell
from minigpt.data.corpus.lexicon import Verb, english_parts, verbs
from minigpt.data.corpus.subjects import Subject, of_person

PERSONS = ("1sg", "2sg", "3sg")
FILE = Path(__file__).parent / "verb_table.tsv"

MISTAKES = {
    "es-agreement": "the verb has the ending of another person: yo trabajas",
    "es-over-regular": "an irregular form made as if it were regular: yo teno",
    "es-not-infinitive": "a conjugated verb where the infinitive goes: yo voy a trabajas",
    "es-not-participle": "an infinitive where the participle goes: yo he trabajar",
    "en-agreement": "the verb or auxiliary does not agree: he work, I has worked",
    "en-over-regular": "an irregular form made with -ed: I goed",
    "en-not-base-form": "a past form where the base form goes: I will worked",
    "en-not-participle": "the past where the participle goes: I have went",
}


@dataclass(frozen=True)
class Cell:
    """One row of `verb_table.tsv`."""

    verb: str  # English base form
    verb_class: str  # regular or irregular (in English)
    surface: str
    person: str
    spanish: str
    english: str
    label: str  # correct or mis-conjugated
    mistake: str  # one of MISTAKES; empty when correct

    @property
    def item(self) -> Item:
        """The item of the corpus that the cell's correct line belongs to."""
        return Item(_spanish_of()[self.verb], self.surface, self.person, "affirmative")

    def __str__(self) -> str:
        return f"{self.spanish} / {self.english}"


def _spanish_of() -> dict[str, str]:
    return {verb.base: verb.spanish for verb in verbs().values() if verb.in_table}


def make_cells() -> list[Cell]:
    """Return the 720 rows from the lexicon: each cell correct, then mis-conjugated."""
    rows = []
    used = dict.fromkeys(MISTAKES, 0)
    for verb in (verb for verb in verbs().values() if verb.in_table):
        kind = "regular" if verb.regular else "irregular"
        for surface in spanish.SURFACES:
            for person in PERSONS:
                pair = cell(verb.spanish, surface, person)
                rows.append(Cell(verb.base, kind, surface, person, pair.spanish, pair.english, "correct", ""))
                wrong_spanish, wrong_english, mistake = _mistaken(verb, surface, person, used)
                used[mistake] += 1
                rows.append(
                    Cell(
                        verb.base,
                        kind,
                        surface,
                        person,
                        wrong_spanish,
                        wrong_english,
                        "mis-conjugated",
                        mistake,
                    )
                )
    return rows


def _mistaken(verb: Verb, surface: str, person: str, used: dict[str, int]) -> tuple[str, str, str]:
    """Return (spanish, english, mistake) with the possible mistake that has been used least."""
    subject = of_person(person)[0]
    correct = cell(verb.spanish, surface, person)
    possible = {}
    for mistake, make in _MAKERS.items():
        wrong = make(verb, surface, subject)
        if wrong:
            possible[mistake] = wrong
    mistake = min(possible, key=used.__getitem__)
    if mistake.startswith("es-"):
        return possible[mistake], correct.english, mistake
    return correct.spanish, possible[mistake], mistake


# Each maker returns the wrong side of the cell, or "" where the mistake cannot be made or would be right.

_OTHER_PERSON = {"1sg": "2sg", "2sg": "1sg", "3sg": "2sg"}


def _es_agreement(verb: Verb, surface: str, subject: Subject) -> str:
    # In the past él takes the yo form, because the tú form may be another verb's ("él viste", of vestir).
    other = of_person(
        "1sg" if (surface, subject.person) == ("past", "3sg") else _OTHER_PERSON[subject.person]
    )[0]
    if verb.gustar:  # "a mí me gustas" is right (I like you), so the clitic is what disagrees
        return f"{subject.dative} {other.clitic} {spanish.verb_group(verb, surface, '3sg')}"
    return f"{subject.spanish} {spanish.verb_group(verb, surface, other.person)}"


def _es_over_regular(verb: Verb, surface: str, subject: Subject) -> str:
    # Nobody says "yo io" or "yo vo", and the regular forms of estar are other words (esto, estas, esté).
    if verb.gustar or verb.spanish in ("ir", "ver", "estar"):
        return ""
    slot = PERSONS.index(subject.person)
    if surface in ("present", "past"):
        regular = spanish.regular_present if surface == "present" else spanish.regular_past
        form, right = regular(verb.spanish)[slot], spanish.finite(verb, surface, subject.person)
    elif surface == "participle":
        form, right = spanish.regular_participle(verb.spanish), spanish.participle(verb)
    elif surface == "will":
        right = spanish.finite(verb, surface, subject.person)
        form = verb.spanish + right[len(verb.future) :]
    else:
        return ""
    return f"{subject.spanish} {_group(verb, surface, subject).replace(right, form)}" if form != right else ""


def _es_not_infinitive(verb: Verb, surface: str, subject: Subject) -> str:
    if surface not in ("infinitive", "going-to"):
        return ""
    # The tú form, because the yo form is often a noun too (el trabajo, el juego).
    wrong = spanish.finite(verb, "present", "3sg" if verb.gustar else "2sg")
    return _who(verb, subject) + _group(verb, surface, subject).removesuffix(verb.spanish) + wrong


def _es_not_participle(verb: Verb, surface: str, subject: Subject) -> str:
    if surface != "participle":
        return ""
    return (
        _who(verb, subject)
        + _group(verb, surface, subject).removesuffix(spanish.participle(verb))
        + verb.spanish
    )


def _en_agreement(verb: Verb, surface: str, subject: Subject) -> str:
    third = subject.person == "3sg"
    if surface == "going-to" or (verb.base == "be" and surface == "present"):
        wrong = {"1sg": "is", "2sg": "am", "3sg": "are"}[subject.person]
        rest = f" going to {verb.base}" if surface == "going-to" else ""
    elif verb.base == "be" and surface == "past":
        wrong, rest = ("was" if subject.person == "2sg" else "were"), ""
    elif surface == "present":
        wrong, rest = (verb.base if third else verb.third), ""
    elif surface in ("infinitive", "participle"):
        wrong = "have" if third else "has"
        rest = f" to {verb.base}" if surface == "infinitive" else f" {verb.english_participle}"
    else:
        return ""
    return f"{subject.english} {wrong}{rest}"


def _en_over_regular(verb: Verb, surface: str, subject: Subject) -> str:
    right = {"past": verb.english_past, "participle": verb.english_participle}.get(surface)
    wrong = english_parts(verb.base)[2]
    if right in (None, wrong) or verb.base in ("be", "see"):  # "bed" and "seed" are other words
        return ""
    return f"{subject.english} " + (
        f"{english.have(subject.person)} {wrong}" if surface == "participle" else wrong
    )


def _en_not_base_form(verb: Verb, surface: str, subject: Subject) -> str:
    if surface not in ("infinitive", "will", "going-to"):
        return ""
    wrong = "sees" if verb.base == "see" else verb.english_past  # "to saw" is another verb
    return f"{subject.english} {_english_group(verb, surface, subject).removesuffix(verb.base)}{wrong}"


def _en_not_participle(verb: Verb, surface: str, subject: Subject) -> str:
    if surface != "participle" or verb.english_past == verb.english_participle:
        return ""
    return f"{subject.english} {english.have(subject.person)} {verb.english_past}"


_MAKERS: dict[str, Callable[[Verb, str, Subject], str]] = {
    "es-agreement": _es_agreement,
    "es-over-regular": _es_over_regular,
    "es-not-infinitive": _es_not_infinitive,
    "es-not-participle": _es_not_participle,
    "en-agreement": _en_agreement,
    "en-over-regular": _en_over_regular,
    "en-not-base-form": _en_not_base_form,
    "en-not-participle": _en_not_participle,
}


def _group(verb: Verb, surface: str, subject: Subject) -> str:
    return spanish.verb_group(verb, surface, "3sg" if verb.gustar else subject.person)


def _who(verb: Verb, subject: Subject) -> str:
    return f"{subject.dative} {subject.clitic} " if verb.gustar else f"{subject.spanish} "


def _english_group(verb: Verb, surface: str, subject: Subject) -> str:
    auxiliary, main, _ = english.verb_parts(verb, surface, subject.person)
    return f"{auxiliary} {main}".strip()


_COLUMNS = tuple("class" if field.name == "verb_class" else field.name for field in fields(Cell))


def to_tsv(cells: Iterable[Cell]) -> str:
    """Return cells as a table with a header, tab-separated."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(astuple(each) for each in cells)
    return out.getvalue()


def read_cells(text: str) -> list[Cell]:
    """Return the cells of a table that `to_tsv` wrote."""
    rows = csv.reader(io.StringIO(text), delimiter="\t")
    next(rows)
    return [Cell(*row) for row in rows]
