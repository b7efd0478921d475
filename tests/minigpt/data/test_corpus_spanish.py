"""Every Spanish form of the corpus, against verbecc; every mis-conjugated one too."""

import contextlib
import logging
from collections import defaultdict

import pytest

from minigpt.data.corpus import table_cells
from minigpt.data.corpus.lexicon import verbs
from minigpt.data.corpus.spanish import (
    SURFACES,
    participle,
    regular_participle,
    regular_past,
    regular_present,
    verb_group,
)
from minigpt.data.corpus.subjects import PERSONS

PRONOUN = {"1sg": "yo", "2sg": "tú", "3sg": "él", "1pl": "nosotros", "2pl": "ustedes", "3pl": "ellos"}
TENSE = {"present": "presente", "past": "pretérito-perfecto-simple", "will": "futuro"}
# Reviewed, where the conjugator is not followed: electo is an adjective, the verb's participle is elegido
# (Diccionario panhispánico de dudas, "elegir").
PARTICIPLES = {"elegir": "elegido"}
# Verbs outside the lexicon that share a form with one inside: "él viste" is right, of vestir.
HOMOGRAPHS = ("vestir", "creer", "sentir", "caer")


@pytest.fixture(scope="session")
def conjugate(tmp_path_factory):
    """Return verbecc's conjugation of a known verb: {mood: {tense: ["yo trabajo", …]}}."""
    with contextlib.chdir(tmp_path_factory.mktemp("verbecc")):  # it writes a log file where it is imported
        import verbecc.src.defs.types.data.verbs as verbecc_verbs
        from verbecc import CompleteConjugator

        # Without its model for unknown verbs, which takes ten seconds to train: an unknown verb shall fail.
        verbecc_verbs.config.ENABLE_ML_PREDICTION = False
        logging.getLogger("verbecc").disabled = True
        conjugator = CompleteConjugator(lang="es")

    known = {}

    def conjugate(infinitive: str) -> dict[str, dict[str, list[str]]]:
        if infinitive not in known:
            moods = conjugator.conjugate(infinitive).get_data()["moods"]
            known[infinitive] = {
                mood: {tense: [form for row in rows for form in row["c"]] for tense, rows in tenses.items()}
                for mood, tenses in moods.items()
            }
        return known[infinitive]

    return conjugate


@pytest.mark.parametrize("infinitive", verbs())
def test_every_form_is_the_conjugators(conjugate, infinitive):
    verb, forms = verbs()[infinitive], conjugate(infinitive)["indicativo"]
    for person in PERSONS:
        pronoun = PRONOUN[person]
        for surface, tense in TENSE.items():
            assert f"{pronoun} {verb_group(verb, surface, person)}" in forms[tense]
        perfect = f"{pronoun} {verb_group(verb, 'participle', person)}"
        if infinitive in PARTICIPLES:
            assert participle(verb) == PARTICIPLES[infinitive]
        else:
            assert perfect in forms["pretérito-perfecto-compuesto"]
        for surface, auxiliary, link in (("infinitive", "tener", "que"), ("going-to", "ir", "a")):
            words = f"{pronoun} {verb_group(verb, surface, person)}".removesuffix(f" {link} {infinitive}")
            assert words in conjugate(auxiliary)["indicativo"]["presente"]
    assert set(SURFACES) == {*TENSE, "participle", "infinitive", "going-to"}


def test_lexicon_repeats_no_regular_form():
    """What the rules give is not written down again, so that "irregular" in the data means it."""
    for verb in verbs().values():
        assert verb.present is None or list(verb.present) != regular_present(verb.spanish), verb.spanish
        assert verb.past is None or list(verb.past) != regular_past(verb.spanish), verb.spanish
        if verb.participle is not None:
            assert participle(verb) != regular_participle(verb.spanish), verb.spanish


def test_mis_conjugated_spanish_is_no_form_of_any_verb(conjugate):
    """A wrong finite form is not what a verb of the lexicon or a homograph has beside that pronoun."""
    right = set()
    for infinitive in (*verbs(), "haber", *HOMOGRAPHS):
        for mood in ("indicativo", "subjuntivo"):
            for forms in conjugate(infinitive)[mood].values():
                right.update(forms)
    seen = defaultdict(int)
    for wrong in table_cells("mis-conjugated"):
        if not wrong.mistake.startswith("es-") or wrong.verb == "like":
            continue
        seen[wrong.mistake] += 1
        pronoun, *words = wrong.spanish.split()
        if wrong.mistake == "es-not-infinitive":
            assert words[-1] not in verbs() and f"tú {words[-1]}" in right
        elif wrong.mistake == "es-not-participle":
            assert words[-1] in verbs()
        elif wrong.surface == "participle" and wrong.mistake == "es-over-regular":
            assert f"{pronoun} {' '.join(words)}" not in right
        else:
            assert f"{pronoun} {words[0]}" not in right, wrong
    assert len(seen) == 4


def test_mis_conjugated_gustar_clashes_or_is_not_of_its_surface():
    """Gustar goes wrong in clitic, infinitive or participle: "a mí me gustas" is right (I like you)."""
    for wrong in table_cells("mis-conjugated"):
        if wrong.verb != "like" or not wrong.mistake.startswith("es-"):
            continue
        dative, clitic = wrong.spanish.split()[1:3]
        own = {"mí": "me", "ti": "te", "él": "le"}[dative]
        if wrong.mistake == "es-agreement":
            assert clitic != own
        else:
            assert clitic == own
            ends_in = {"es-not-infinitive": "gusta", "es-not-participle": "gustar"}[wrong.mistake]
            assert wrong.spanish.split()[-1] == ends_in
