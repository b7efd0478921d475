"""The words of the corpus: verbs, what they go with, and time expressions, read from `lexicon/*.yaml`.

A verb's entry, under its Spanish infinitive:

    english       base form if regular, else "base third-person past participle"
    particle      words that always follow the English verb ("look for", "have lunch")
    present, past yo, tú, él, nosotros, ellos; only where Spanish departs from the regular forms
    participle    likewise
    future        stem of the Spanish future, where it is not the infinitive
    frame         "gustar" where the English subject is the Spanish indirect object ("a mí me gusta / I like")
    aspect        event (default), state, taste, living, long: which time expressions go with it (times.yaml)
    not_at        time expressions that would contradict it (no breakfast at night)
    bare          true where the verb stands alone ("yo trabajo / I work")
    asks          open questions: where, whereto, when, why, with, what[:English preposition[:Spanish words]];
                  where+ needs a direct object ("where do you buy bread?")
    with          complements "spanish / english", separated by ";" (@group for those of groups.yaml)
    with_free     complements that no duty goes with ("I have to be tired" is left out)
    with_plural   complements that are a plural subject of a gustar verb

In a complement `{mi}` `{mia}` `{mis}` `{mias}` is the possessive before a masculine or feminine, singular or
plural noun, `{my}` the English one; `{o}` `{s}` `{es}` are the endings of an adjective that agrees with the
subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from minigpt.messages import read_yaml

FOLDER = Path(__file__).parent / "lexicon"
_PREPOSITIONS = frozenset("a al del de en con por sobre cerca".split())
_ADVERBS = frozenset(
    ("mucho", "bien", "despacio", "temprano", "tarde", "a tiempo", "a las ocho", "ocho horas")
)


@dataclass(frozen=True)
class Complement:
    """What follows a verb, in both languages: an object, a place, a company or an adverb."""

    spanish: str
    english: str
    plural: bool = False  # the plural subject of a gustar verb
    free: bool = False  # not said of a duty

    @property
    def direct(self) -> bool:
        """Whether it is an object ("el libro"), beside which a place can be asked for."""
        return not self.adverb and self.spanish.split()[0] not in _PREPOSITIONS

    @property
    def adverb(self) -> bool:
        """Whether it says how, how much or when, so that it cannot stand in a question for when."""
        return self.spanish in _ADVERBS


@dataclass(frozen=True)
class Ask:
    """An open question that a verb takes: its words, and the English preposition left at the end."""

    kind: str
    spanish: str
    english: str
    stranded: str = ""


@dataclass(frozen=True)
class Verb:
    """One Spanish verb with its English counterpart; None stands for "regular"."""

    spanish: str
    base: str
    third: str
    english_past: str
    english_participle: str
    particle: str
    present: tuple[str, ...] | None
    past: tuple[str, ...] | None
    participle: str | None
    future: str
    gustar: bool
    aspects: frozenset[str]
    not_at: frozenset[str]
    bare: bool
    asks: tuple[Ask, ...]
    complements: tuple[Complement, ...]
    in_table: bool
    regular: bool  # in English


@dataclass(frozen=True)
class Time:
    """A time expression and where it may stand (see times.yaml)."""

    spanish: str
    english: str
    surfaces: frozenset[str]
    aspects: frozenset[str]
    places: tuple[str, ...]
    forms: frozenset[str]
    beside_adverb: bool


_ASKS = {
    "where": ("dónde", "where"),
    "where+": ("dónde", "where"),
    "whereto": ("adónde", "where"),
    "when": ("cuándo", "when"),
    "why": ("por qué", "why"),
    "with": ("con quién", "who"),
    "what": ("qué", "what"),
}
FORMS = ("affirmative", "negative", "question", "open-question")


def english_parts(base: str) -> tuple[str, str, str, str]:
    """Return base, third person, past and participle of a regular English verb."""
    if base[-1] == "y" and base[-2] not in "aeiou":
        return base, f"{base[:-1]}ies", f"{base[:-1]}ied", f"{base[:-1]}ied"
    third = base + ("es" if base.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")
    past = base + ("d" if base.endswith("e") else "ed")
    return base, third, past, past


def _pair(text: str) -> tuple[str, str]:
    spanish, english = text.split(" / ")
    return spanish.strip(), english.strip()


def _complements(text: str, groups: dict[str, str], **flags: bool) -> list[Complement]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        if part.startswith("@"):
            found += _complements(groups[part[1:]], {}, **flags)
        else:
            found.append(Complement(*_pair(part), **flags))
    return found


def _ask(token: str) -> Ask:
    kind, stranded, spanish = (token.split(":") + ["", ""])[:3]
    default_spanish, english = _ASKS[kind]
    if kind == "with":
        stranded = "with"
    return Ask(kind, spanish.replace("_", " ") or default_spanish, english, stranded)


def _verb(spanish: str, entry: dict, groups: dict[str, str], in_table: bool) -> Verb:
    parts = tuple(entry["english"].split())
    forms = {name: tuple(entry[name].split()) if name in entry else None for name in ("present", "past")}
    complements = (
        _complements(entry.get("with", ""), groups)
        + _complements(entry.get("with_free", ""), groups, free=True)
        + _complements(entry.get("with_plural", ""), groups, plural=True)
    )
    base, third, past, participle = english_parts(parts[0]) if len(parts) == 1 else parts
    return Verb(
        spanish=spanish,
        base=base,
        third=third,
        english_past=past,
        english_participle=participle,
        particle=entry.get("particle", ""),
        present=forms["present"],
        past=forms["past"],
        participle=entry.get("participle"),
        future=entry.get("future", spanish),
        gustar=entry.get("frame") == "gustar",
        aspects=frozenset(entry.get("aspect", "event").split()),
        not_at=frozenset(filter(None, entry.get("not_at", "").split("; "))),
        bare=bool(entry.get("bare", False)),
        asks=tuple(_ask(token) for token in entry.get("asks", "").split()),
        complements=tuple(complements),
        in_table=in_table,
        regular=len(parts) == 1,
    )


def _read(name: str):
    return read_yaml((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def verbs() -> dict[str, Verb]:
    """Return every verb by its Spanish infinitive, those of the verb table first."""
    groups = _read("groups")
    return {
        spanish: _verb(spanish, entry, groups, in_table=file == "verb_table")
        for file in ("verb_table", "ar", "er_ir")
        for spanish, entry in _read(file).items()
    }


@lru_cache(maxsize=1)
def times() -> tuple[Time, ...]:
    """Return every time expression."""
    return tuple(
        Time(
            *_pair(entry["text"]),
            surfaces=frozenset(entry["surfaces"].split()),
            aspects=frozenset(entry["aspects"].split()),
            places=tuple(entry["place"].split()),
            forms=frozenset(entry.get("forms", " ".join(FORMS)).split()),
            beside_adverb=entry.get("beside_adverb", True),
        )
        for entry in _read("times")
    )
