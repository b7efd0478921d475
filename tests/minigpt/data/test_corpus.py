"""The course's corpus: its files, its split, its sentences, its cells."""

import json
import shutil
from collections import Counter

import pytest

from minigpt.data.corpus import MISTAKES, build, load_corpus, loading, table_cells
from minigpt.data.corpus.grammar import Item, items, pairs
from minigpt.data.corpus.lexicon import verbs
from minigpt.data.tokenizer import shipped_tokenizer
from minigpt.messages import MiniGPTError

REGULAR = "work play walk talk listen watch study finish start look want like".split()
IRREGULAR = "be have do go come see eat write".split()


@pytest.fixture(scope="module")
def sides():
    corpus = load_corpus()
    return {side: getattr(corpus, side).splitlines() for side in loading.SIDES}


@pytest.fixture(scope="module")
def item_of():
    """The item of every line that the grammar can make of an item that the corpus takes."""
    return {str(pair): item for item in items() for pair in build.chosen(item)}


def test_files_are_what_the_generator_makes():
    assert build.differing() == []


def test_check_names_what_differs(tmp_path, monkeypatch, capsys):
    for name in build.WRITTEN:
        shutil.copy(loading.FOLDER / name, tmp_path)
    (tmp_path / "train.txt").write_text("yo trabajas / I work\n", encoding="utf-8")
    (tmp_path / "verb_table.tsv").unlink()
    assert build.differing(tmp_path) == ["train.txt", "verb_table.tsv"]
    monkeypatch.setattr(build, "differing", lambda: ["train.txt"])
    assert build.main(["--check"]) == 1
    assert "train.txt" in capsys.readouterr().out


def test_size_is_what_the_course_promises(sides):
    counts = loading.manifest()
    assert counts["verbs"] == len(verbs()) >= 100
    assert counts["sides"]["train"]["tokens"] >= 200_000
    for side, lines in sides.items():
        assert counts["sides"][side]["lines"] == len(lines)
    validation = shipped_tokenizer().encode("\n".join(sides["validation"]) + "\n")
    assert counts["sides"]["validation"]["tokens"] == len(validation)
    assert shipped_tokenizer().vocab_size == 512


def test_no_line_twice_and_every_line_a_pair(sides):
    lines = sides["train"] + sides["validation"]
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert line.count(" / ") == line.count("/") == 1 and line == line.strip() and "  " not in line
        assert "{" not in line and " a el " not in line and " de el " not in line


def test_one_spanish_sentence_has_one_english(sides):
    english = {}
    for line in sides["train"] + sides["validation"]:
        spanish, translation = line.split(" / ")
        assert english.setdefault(spanish, translation) == translation


def test_all_lines_of_an_item_lie_on_its_side(sides, item_of):
    found = {side: {item_of[line] for line in lines} for side, lines in sides.items()}
    assert not found["train"] & found["validation"]
    for side, of_side in found.items():
        assert all(item.side == side for item in of_side)
    share = len(found["validation"]) / sum(map(len, found.values()))
    assert 0.08 < share < 0.12


def test_the_verb_table_is_whole():
    cells = table_cells()
    assert len(cells) == len({(cell.verb, cell.surface, cell.person) for cell in cells}) == 20 * 6 * 3
    assert {cell.verb for cell in cells if cell.verb_class == "regular"} == set(REGULAR)
    assert {cell.verb for cell in cells if cell.verb_class == "irregular"} == set(IRREGULAR)
    assert len({cell.spanish for cell in cells}) == 360  # a prompt has one answer


def test_the_verb_table_correct_cells_are_in_the_text_and_the_others_are_not(sides):
    lines = {side: set(lines) for side, lines in sides.items()}
    for cell in table_cells():
        assert str(cell) in lines[cell.item.side]
    everything = lines["train"] | lines["validation"]
    assert not everything & {str(cell) for cell in table_cells("mis-conjugated")}


def test_mis_conjugated_cells_have_one_wrong_side_and_a_known_mistake():
    rows = table_cells(None)
    assert len(rows) == 720
    for right, wrong in zip(rows[::2], rows[1::2], strict=True):
        assert (right.verb, right.surface, right.person) == (wrong.verb, wrong.surface, wrong.person)
        assert (right.label, right.mistake, wrong.label) == ("correct", "", "mis-conjugated")
        wrong_spanish, wrong_english = right.spanish != wrong.spanish, right.english != wrong.english
        assert (wrong_spanish, wrong_english) == (wrong.mistake[:3] == "es-", wrong.mistake[:3] == "en-")
    used = Counter(row.mistake for row in rows if row.mistake)
    assert set(used) == set(MISTAKES) and min(used.values()) >= 10


SENTENCES = [
    ("trabajar|present|3sg|affirmative", "ella siempre trabaja en casa / she always works at home"),
    ("trabajar|past|1pl|affirmative", "ayer nosotros trabajamos / yesterday we worked"),
    ("hacer|infinitive|3sg|negative", "él no tiene que hacer yoga ahora / he does not have to do yoga now"),
    ("comer|participle|1sg|negative", "yo todavía no he comido pan / I have not eaten bread yet"),
    ("ver|participle|2sg|question", "¿tú ya has visto el mar? / have you already seen the sea?"),
    (
        "ir|going-to|3pl|negative",
        "hoy ellas no van a ir al parque / today they are not going to go to the park",
    ),
    ("visitar|will|1pl|affirmative", "nosotros visitaremos a nuestros padres / we will visit our parents"),
    ("estar|past|3pl|negative", "ellas no estuvieron cansadas anoche / they were not tired last night"),
    ("estar|present|3sg|open-question", "¿dónde está ella? / where is she?"),
    ("gustar|present|3sg|negative", "a ella no le gustan los libros / she does not like books"),
    ("gustar|participle|1sg|affirmative", "a mí siempre me ha gustado el café / I have always liked coffee"),
    ("gustar|past|2pl|open-question", "¿qué les gustó a ustedes ayer? / what did you like yesterday?"),
    ("buscar|past|2sg|open-question", "¿qué buscaste tú anoche? / what did you look for last night?"),
    ("jugar|will|2pl|open-question", "¿con quién jugarán ustedes mañana? / who will you play with tomorrow?"),
    ("llorar|past|3sg|open-question", "¿por qué él lloró mucho? / why did he cry a lot?"),
]


@pytest.mark.parametrize(("item", "line"), SENTENCES)
def test_sentences(item, line):
    assert line in map(str, pairs(Item(*item.split("|"))))


IMPOSSIBLE = [
    ("trabajar|past|1pl|affirmative", "nosotros trabajamos / we worked"),  # reads as the present
    ("trabajar|present|1sg|affirmative", "yo trabajo ayer / I work yesterday"),
    ("estar|will|3sg|affirmative", "ella estará mañana / she will be tomorrow"),
    ("desayunar|past|1sg|affirmative", "yo desayuné anoche / I had breakfast last night"),
    ("estar|infinitive|1sg|affirmative", "yo tengo que estar cansado / I have to be tired"),
    ("llegar|present|1sg|affirmative", "yo llego tarde por la mañana / I arrive late in the morning"),
]


@pytest.mark.parametrize(("item", "line"), IMPOSSIBLE)
def test_sentences_nobody_says(item, line):
    assert line not in map(str, pairs(Item(*item.split("|"))))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the corpus that a test may spoil."""
    for name in build.WRITTEN:
        shutil.copy(loading.FOLDER / name, tmp_path)
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    loading.manifest.cache_clear()
    yield tmp_path
    loading.manifest.cache_clear()


@pytest.mark.parametrize(("name", "load"), [("train.txt", load_corpus), ("verb_table.tsv", table_cells)])
def test_a_changed_or_missing_file_is_named_with_the_remedy(copied, name, load):
    load()
    (copied / name).write_bytes((copied / name).read_bytes() + b"\n")
    with pytest.raises(MiniGPTError, match=f"{name} is not the one.*minigpt.data.corpus.build"):
        load()
    (copied / name).unlink()
    with pytest.raises(MiniGPTError, match=f"{name} is missing.*minigpt.data.corpus.build"):
        load()


def test_hashes_for_the_manifest_of_a_run():
    recorded = json.loads((loading.FOLDER / loading.MANIFEST).read_text(encoding="utf-8"))["sha256"]
    assert load_corpus().hashes == {side: recorded[f"{side}.txt"] for side in loading.SIDES}
