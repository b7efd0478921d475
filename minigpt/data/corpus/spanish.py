"""Spanish: conjugation of the six surfaces, and whole clauses.

The surfaces, and how each shows its person:

    infinitive   yo tengo que trabajar        I have to work
    present      yo trabajo                   I work
    past         yo trabajé                   I worked
    participle   yo he trabajado              I have worked
    will         yo trabajaré                 I will work
    going-to     yo voy a trabajar            I am going to work

Regular endings and the spelling rules that keep a sound (busqué, llegué, recojo) are here; whatever departs
from them is data (`lexicon.py`). With gustar the grammatical subject is what is liked, and the person is in
the clitic: "a mí me gusta".
"""

from __future__ import annotations

from minigpt.data.corpus.lexicon import Ask, Verb
from minigpt.data.corpus.subjects import Subject

SURFACES = ("infinitive", "present", "past", "participle", "will", "going-to")

_SLOT = {"1sg": 0, "2sg": 1, "3sg": 2, "1pl": 3, "2pl": 4, "3pl": 4}  # ustedes and ellos share a form
_PRESENT = {"ar": "o as a amos an", "er": "o es e emos en", "ir": "o es e imos en"}
_PAST = {"ar": "é aste ó amos aron", "er": "í iste ió imos ieron", "ir": "í iste ió imos ieron"}
_FUTURE = "é ás á emos án".split()
_HABER = "he has ha hemos han".split()
_TENER = "tengo tienes tiene tenemos tienen".split()
_IR = "voy vas va vamos van".split()
_SOUND_BEFORE_E = {"c": "qu", "g": "gu", "z": "c"}  # busc-ar, lleg-ar, empez-ar
_SOUND_BEFORE_O = {"c": "z", "g": "j"}  # venc-er, recog-er


def regular_present(infinitive: str) -> list[str]:
    """Return yo, tú, él, nosotros, ellos of a regular verb in the present, yo with its spelling change."""
    stem, ending = _split(infinitive)
    forms = [stem + suffix for suffix in _PRESENT[ending].split()]
    if ending != "ar" and stem[-1:] in _SOUND_BEFORE_O:
        forms[0] = stem[:-1] + _SOUND_BEFORE_O[stem[-1]] + "o"
    return forms


def regular_past(infinitive: str) -> list[str]:
    """Return yo, tú, él, nosotros, ellos of a regular verb in the preterite, yo with its spelling change."""
    stem, ending = _split(infinitive)
    forms = [stem + suffix for suffix in _PAST[ending].split()]
    if ending == "ar" and stem[-1:] in _SOUND_BEFORE_E:
        forms[0] = stem[:-1] + _SOUND_BEFORE_E[stem[-1]] + "é"
    return forms


def regular_participle(infinitive: str) -> str:
    """Return the regular participle: -ado, -ido."""
    stem, ending = _split(infinitive)
    return stem + ("ado" if ending == "ar" else "ido")


def _split(infinitive: str) -> tuple[str, str]:
    return infinitive[:-2], infinitive[-2:].replace("í", "i")


def finite(verb: Verb, surface: str, person: str) -> str:
    """Return the one-word form of a simple surface: present, past or will."""
    slot = _SLOT[person]
    if surface == "present":
        return (verb.present or regular_present(verb.spanish))[slot]
    if surface == "past":
        return (verb.past or regular_past(verb.spanish))[slot]
    return verb.future + _FUTURE[slot]


def participle(verb: Verb) -> str:
    """Return the participle that follows haber."""
    return verb.participle or regular_participle(verb.spanish)


def verb_group(verb: Verb, surface: str, person: str) -> str:
    """Return the whole conjugated group: "trabajo", "he trabajado", "tengo que trabajar"."""
    slot = _SLOT[person]
    if surface == "infinitive":
        return f"{_TENER[slot]} que {verb.spanish}"
    if surface == "participle":
        return f"{_HABER[slot]} {participle(verb)}"
    if surface == "going-to":
        return f"{_IR[slot]} a {verb.spanish}"
    return finite(verb, surface, person)


def ambiguous(verb: Verb, surface: str, person: str) -> bool:
    """Return whether a past form is also a present one (nosotros trabajamos), told apart by a time only."""
    return surface == "past" and finite(verb, "present", person) == finite(verb, "past", person)


def clause(
    verb: Verb,
    surface: str,
    form: str,
    subject: Subject,
    complement: str = "",
    plural: bool = False,
    time: str = "",
    place: str = "",
    ask: Ask | None = None,
) -> str:
    """Return a Spanish clause without capital or full stop.

    Args:
        form: affirmative, negative, question or open-question.
        complement: what follows the verb, already agreeing with the subject.
        plural: the complement is the plural subject of a gustar verb.
        time: a time expression; `place` says where it stands (end, front, mid, yet).
        ask: the open question's words, for the form open-question.
    """
    if verb.gustar:
        group = f"{subject.clitic} {verb_group(verb, surface, '3pl' if plural else '3sg')}"
        who = subject.dative
    else:
        group, who = verb_group(verb, surface, subject.person), subject.spanish
    if form == "negative" and time != "nunca":
        group = f"no {group}"
    if place in ("mid", "yet"):
        group = f"{time} {group}"
    end = time if place == "end" else ""
    front = time if place == "front" else ""
    if ask is not None:
        # por qué is the one question word that leaves the subject where it was.
        order = (who, group) if ask.kind == "why" else (group, who)
        return "¿" + _join(ask.spanish, *order, complement, end) + "?"
    text = _join(front, who, group, complement, end)
    return f"¿{text}?" if form == "question" else text


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
