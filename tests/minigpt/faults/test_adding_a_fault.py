"""The guide of minigpt/README.md, followed in a copy: a fault with its own leaf in four files and a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FAULT = """

def _few_targets(get_batch, recipe, severity):
    def few_targets(*arguments, **settings):
        batch = get_batch(*arguments, **settings)
        return batch._replace(targets=batch.targets % 2)

    return few_targets


START_FAULTS = (*START_FAULTS, Fault("few-targets", "get_batch", "few-targets", _few_targets))
"""
QUESTION = """

def _many_targets(question: Question, evidence: Evidence) -> Finding:
    distinct = evidence.start.distinct_targets
    if distinct is None:
        return question.not_measured()
    if 1 < distinct <= question.thresholds["distinct"]:
        return question.failed("few-targets", distinct=distinct)
    return question.passed(distinct=distinct)


START_QUESTIONS = (*START_QUESTIONS, Question("1.99", {"distinct": 2}, ("few-targets",), _many_targets))
"""
TEXTS = """
faults:
  few-targets.title: "{title}"
  few-targets.breaks: "{breaks}"
  few-targets.symptom: "{symptom}"
  few-targets.fix: "{fix}"
leaves:
  few-targets-means: "{breaks}"
  few-targets-change: "{fix}"
  few-targets-lesson: "18-01"
configuration:
  question-1.99: "{question}"
  seen-1.99: "{{distinct}} (> {{limits[distinct]}})"
  not-measured-1.99: "{missing}"
  healthy-1.99: "> {{limits[distinct]}}"
  broken-1.99: "2"
"""
ENGLISH = {
    "title": "few targets",
    "breaks": "Targets are taken modulo 2.",
    "symptom": "The loss falls to ln 2 at once.",
    "fix": "Remove the modulo.",
    "question": "Are there many targets?",
    "missing": "not measured: needs the target probe",
}
SPANISH = {
    "title": "pocos targets",
    "breaks": "Los targets se toman módulo 2.",
    "symptom": "El loss cae enseguida a ln 2.",
    "fix": "Quita el módulo.",
    "question": "¿Hay muchos targets?",
    "missing": "sin medir: hace falta la sonda de los targets",
}
TRIAL = """
import json, sys
from minigpt.cli import main
from minigpt.messages import CATALOGUE, LANGUAGES
assert CATALOGUE.keys("en") == CATALOGUE.keys("es")
flags = "--n-layer 1 --n-head 2 --n-embd 16 --context 16 --batch-size 4 --steps 2 --warmup-steps 1"
train = ["train", "--run-dir", "run", "--fault", "few-targets", *flags.split()]
codes = [main(train), *(main(["check", "run", "--lang", code]) for code in LANGUAGES), main(["card"])]
sys.exit(str(codes) if codes != [0, 1, 1, 0] else 0)
"""


@pytest.fixture
def copied(tmp_path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minigpt", tmp_path / "minigpt", ignore=ignored)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=ignored)
    return tmp_path


def python(copied: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copied,
        env={**os.environ, "PYTHONPATH": str(copied), "MINIGPT_LANG": "en"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_fault_with_a_leaf_of_its_own_touches_four_files_and_a_test(copied):
    package = copied / "minigpt"
    for file, text in (
        (package / "faults/start.py", FAULT),
        (package / "diagnosis/trees/configuration/start.py", QUESTION),
    ):
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    for code, texts in (("en", ENGLISH), ("es", SPANISH)):
        (package / f"messages/{code}/few-targets.yaml").write_text(TEXTS.format(**texts), encoding="utf-8")
    told = python(copied, "-c", TRIAL)
    assert "few-targets" in told and ENGLISH["fix"] in told and SPANISH["fix"] in told
    assert "**1.99** Are there many targets?" in told
    python(copied, "docs/generate.py")
    assert '"few-targets"' in (copied / "docs/check.schema.json").read_text(encoding="utf-8")
    assert "¿Hay muchos targets?" in (copied / "docs/card.es.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["minigpt/README.md", "docs/minigpt.es.md"])
def test_the_guide_names_every_file_that_it_takes(name):
    guide = (ROOT / name).read_text(encoding="utf-8")
    for part in ("faults/", "diagnosis/trees/", "messages/en/", "messages/es/", "docs/generate.py"):
        assert part in guide, part
