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
        ("Una loss infinita.", ("loss", "Una loss")),
        ("El loss se aplana; la norma, también.", None),
        ("Esta corrida tiene otro schedule.", ("run", "corrida")),
        ("Cada Lote tiene 32 líneas.", ("batch", "Lote")),
        ("Baja la tasa de aprendizaje.", ("learning rate", "tasa de aprendizaje")),
        ("Baja el learning rate (tasa de aprendizaje).", None),
        ("Usa `lotes` y $lote$ y {lote} y --lote y [un enlace](lote.md).", None),
        ("Un islote y un explotes.", None),
        ("El sesgo de la cabeza.", ("bias", "sesgo")),
        ("Reparte por ítem.", ("split", "Reparte por ítem")),
        ("Reparte su probabilidad por igual.", None),
        ("Mezcla las líneas.", ("shuffle", "Mezcla")),
        ("Escribe la misma orden.", ("command", "misma orden")),
        ("El orden de magnitud, en ese orden.", None),
        ("¿Arrancó en el azar?", ("at chance", "en el azar")),
        ("Un batch al azar, al nivel del azar.", None),
        ("Pierde el azar.", ("RNG", "Pierde el azar")),
        ("Pesa cada micro-batch.", ("to weight", "Pesa cada")),
        ("A pesar de todo, un parámetro pesa 4 bytes.", None),
        ("Sortea los pesos.", ("initialise", "Sortea los pesos")),
        ("Los casos se sortean de nuevo.", None),
        ("En un entorno aislado.", ("sandbox", "entorno aislado")),
        ("Falta la última norma.", ("normalisation layer", "última norma")),
        ("Hace falta la norma del gradiente de las últimas normas.", None),
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


@pytest.mark.parametrize(
    "page",
    [
        "README.es.md",
        *(f"docs/{name}.es.md" for name in ("card", "instructor", "minigpt", "monitor", "seeds")),
    ],
)
def test_the_pages_keep_to_the_glossary(page):
    assert offence((ROOT / page).read_text(encoding="utf-8")) is None
