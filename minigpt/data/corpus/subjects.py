"""Who speaks: the six persons of the corpus, with Latin American `ustedes` for the second plural.

A person may have more than one subject: `él / he` and `ella / she` are both 3sg, and `yo` is a man or a woman
("yo estoy cansado", "yo estoy cansada").
"""

from __future__ import annotations

from dataclasses import dataclass

PERSONS = ("1sg", "2sg", "3sg", "1pl", "2pl", "3pl")


@dataclass(frozen=True)
class Subject:
    """One subject pronoun in both languages, with everything that agrees with it."""

    person: str
    spanish: str
    english: str
    feminine: bool
    dative: str  # "a mí", with gustar
    clitic: str  # "me", with gustar
    possessives: tuple[str, str, str, str]  # mi, mía-form, mis, and their nuestra-like feminines
    possessive: str  # English: my

    @property
    def plural(self) -> bool:
        """Whether adjectives take a plural ending."""
        return self.person.endswith("pl")


_MI = ("mi", "mi", "mis", "mis")
_TU = ("tu", "tu", "tus", "tus")
_SU = ("su", "su", "sus", "sus")
_NUESTRO = ("nuestro", "nuestra", "nuestros", "nuestras")

SUBJECTS = (
    Subject("1sg", "yo", "I", False, "a mí", "me", _MI, "my"),
    Subject("1sg", "yo", "I", True, "a mí", "me", _MI, "my"),
    Subject("2sg", "tú", "you", False, "a ti", "te", _TU, "your"),
    Subject("2sg", "tú", "you", True, "a ti", "te", _TU, "your"),
    Subject("3sg", "él", "he", False, "a él", "le", _SU, "his"),
    Subject("3sg", "ella", "she", True, "a ella", "le", _SU, "her"),
    Subject("1pl", "nosotros", "we", False, "a nosotros", "nos", _NUESTRO, "our"),
    Subject("2pl", "ustedes", "you", False, "a ustedes", "les", _SU, "your"),
    Subject("3pl", "ellos", "they", False, "a ellos", "les", _SU, "their"),
    Subject("3pl", "ellas", "they", True, "a ellas", "les", _SU, "their"),
)


def of_person(person: str) -> tuple[Subject, ...]:
    """Return the subjects of one person ("3sg": él, ella)."""
    return tuple(subject for subject in SUBJECTS if subject.person == person)


def agree(text: str, subject: Subject) -> str:
    """Fill a complement's `{mi}`-like possessives, `{my}`, and the adjective endings `{o}`, `{s}`, `{es}`."""
    if "{" not in text:
        return text
    vowel = "a" if subject.feminine else "o"
    mi, mia, mis, mias = subject.possessives
    return text.format(
        mi=mi,
        mia=mia,
        mis=mis,
        mias=mias,
        my=subject.possessive,
        o=vowel + "s" if subject.plural else vowel,
        s="s" if subject.plural else "",
        es="es" if subject.plural else "",
    )
