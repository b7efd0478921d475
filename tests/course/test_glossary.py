"""One Spanish word for each term, in the lessons and in both packages' messages."""

from pathlib import Path

import pytest
import yaml

from course.glossary import offence

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("La pérdida baja.", ("loss", "pérdida")),
        ("Cada Lote tiene 32 líneas.", ("batch", "Lote")),
        ("Baja la tasa de aprendizaje.", ("learning rate", "tasa de aprendizaje")),
        ("Baja el learning rate (tasa de aprendizaje).", None),
        ("Usa `lotes` y $lote$ y {lote} y --lote y [un enlace](lote.md).", None),
        ("Un islote y un explotes.", None),
    ],
)
def test_other_words_are_found_in_prose_alone(text, found):
    assert offence(text) == found


@pytest.mark.parametrize("package", ["minigpt", "course"])
def test_the_messages_keep_to_the_glossary(package):
    found = {
        f"{file.stem}.{key}": offence(str(text))
        for file in (ROOT / package / "messages" / "es").glob("*.yaml")
        for key, text in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).items()
    }
    assert found and {key: words for key, words in found.items() if words} == {}
