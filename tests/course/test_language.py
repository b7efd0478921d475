"""Wordings that were replaced because nobody says them do not come back: in code, messages, lessons, docs.

Each is a regular expression for the old wording alone; a word that is legitimate elsewhere (`norma` for ‖g‖,
`devuelve` for a function, `azar` in «al nivel del azar») is listed with the words that made it wrong.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = (
    r"proves? no health|nor one of none of these|questions of which health takes",
    r"where there is nothing to turn|leaves nothing of its part",
    r"(loop|model|function|logs?) that (is|are) not ours",
    r"makes a graph of must|there it is as if it were not",
    r"Logits are looked for in|tokens puts them out|which is the head shows",
    r"a step is a step of its\b|seconds that finished steps wait",
    r"writes right\?|How many of how many",
    r"Whatever stops a command that|(user|learner|learners) can mend",
    r"what a part reads|the sum that (it|a part) leaves|at 10 or more the norms are missing",
    r"cannot do anything with|The system does not allow it|no parameter begins so|Going on at step",
    r"is no vocabulary|would bear its name|give yourself the right",
    r"\banew\b(?![()])|\bdearest\b|\b[Mm]end (it|them|the|what|or)\b",
    r"(no initialisation|until somebody) mends",
    r"\b(wide|wider|narrow|narrower) weights|\btoo (wide|narrow)\b|times wider than (its|their)\b",
    r"[Cc]ommit yourself|[Ss]hould a cell say|clean bill of health|on your honour|[Mm]ind the innocent",
)
SPANISH = (
    r"pesos (dispersos|anchos|angostos)|más (anchos|angostos|dispersos) de lo debido",
    r"última norma\b(?! (buena|del))|Bloques sin normas|ganancias de las normas",
    r"devuelve (la máscara|`?ln_1)",
    r"[Pp]ésal[oa]s?\b|[Pp]esa cada micro|que pesa igual",
    r"[Aa]rrancó en el azar|pierde el azar|empieza en el azar|\*\*El azar\*\*",
    r"nada que sobre del|que sobre después|Deja el learning rate|> 1\.0 hasta el paso 500",
    r"La primera tarda unos minutos",
    r"[Ss]ortea (los|las) (pesos|matrices)|[Ss]ortea c_proj|[Ss]ortéal",
    r"mueve la muerte|ninguna muerte|cabe una muerte|certificado limpio|queda en tu conciencia",
    r"cuidado con los inocentes|una tapa que se cerró|[Cc]omprométete|nadie protesta|desviado por k",
    r"lo quieres elegir|cama del paciente|respuesta honrada|entregas honradas|cosas que llevarse",
    r"aprende a 1 veces|tasa de nada|fuera de tono|mal de escala",
    r"misma orden\b|\b[Ee]sta orden\b|\bsesgos?\b|[Rr]eparte por ítem|Reparte los ítems|antes de mezclar",
    r"se ha (detenido|podido|ejecutado|leído|omitido)|entorno aislado|libro de notas",
    r"(?<![\d ])\d{1,3} \d{3}(?=\.| (tokens|pasos|micro))|\bel ratón\b|\b[Pp]ulsa\b|W&B grabó",
    r"también rellenado|los entrenadores de Hugging Face|el entrenador de Hugging Face",
)
KINDS = {".py", ".yaml", ".md", ".html", ".js", ".ts"}
# where the old words are quoted, or where they were written at the time
QUOTING = (
    *("tests/course/test_language.py", "tests/course/test_glossary.py", "tests/course/test_spelling.py"),
    *("course/glossary.yaml", "CHANGELOG.md"),
)
# built from the sources, which are searched here
BUILT = ("solutions/", "phase-", "benchmarks/")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Every text of the repository that somebody wrote, by name."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [
        name
        for name in listed.stdout.splitlines()
        if name not in QUOTING and not name.startswith(BUILT) and (ROOT / name).suffix in KINDS
    ]
    return {name: flat((ROOT / name).read_text(encoding="utf-8")) for name in names if (ROOT / name).exists()}


@pytest.mark.parametrize("wording", ENGLISH + SPANISH)
def test_an_old_wording_is_gone(files: dict[str, str], wording: str):
    pattern = re.compile(wording)
    found = {name: words for name, text in files.items() if (words := sentences(pattern, text))}
    assert found == {}


def test_no_executed_solution_still_shows_an_old_wording():
    pattern = re.compile("|".join(f"(?:{wording})" for wording in ENGLISH + SPANISH))
    shown, found = 0, {}
    for file in (ROOT / "solutions").rglob("*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            text = flat(
                "".join(line for output in cell.get("outputs", ()) for line in output.get("text", ()))
            )
            shown += len(text)
            if words := sentences(pattern, text):
                found[file.name, cell["id"]] = words
    assert shown and found == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# is what you\n# mend it with", True),
        ("Reanudar devuelve la máscara", True),
        ("read() devuelve la lista", False),
        ("la norma del gradiente, al nivel del azar", False),
    ],
)
def test_old_wordings_are_found_across_lines_and_right_ones_are_not(text: str, found: bool):
    assert any(re.search(wording, flat(text)) for wording in ENGLISH + SPANISH) is found


def flat(text: str) -> str:
    """The text on one line: sentences of comments and lessons run over several."""
    return re.sub(r"\s*\n(?:# ?)?\s*", " ", text)


def sentences(pattern: re.Pattern, text: str) -> list[str]:
    """The first places where the pattern stands, with some words around each."""
    return [text[max(0, m.start() - 30) : m.end() + 30] for m in pattern.finditer(text)][:3]
