"""What `minigpt check --json` prints is what docs/check.schema.json says."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from minigpt.config import Config
from minigpt.diagnosis import QUESTIONS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs/check.schema.json").read_text("utf-8"))
TINY = Config(
    steps=2, warmup_steps=1, n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, eval_batches=1
)


def valid(data):
    """Return the data, which must fit the schema."""
    Draft202012Validator(SCHEMA).validate(data)
    return data


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, recipe in (("healthy", Recipe(TINY)), ("broken", Recipe(TINY).with_fault("head-bias"))):
        train(recipe, folder / name)
    (folder / "spikes.csv").write_text(
        "step,loss,grad_norm\n"
        + "".join(f"{step},{4 - step / 100},{500 if step % 20 == 19 else 1}\n" for step in range(210))
    )
    (folder / "nan.csv").write_text("step,loss\n0,4.1\n1,nan\n2,Infinity\n")
    return folder


def test_the_schema_is_one_and_knows_every_question_and_leaf():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["question"]["enum"] == [question.id for question in QUESTIONS]
    leaves = list(dict.fromkeys(leaf for question in QUESTIONS for leaf in question.leaves))
    assert SCHEMA["$defs"]["leaf"]["enum"] == leaves, "python docs/generate.py"


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    ("name", "arguments", "verdict", "code"),
    [
        ("healthy", (), "pass", 0),
        ("healthy", ("--all",), "pass", 0),
        ("broken", (), "fail", 1),
        ("broken", ("--all",), "fail", 1),
        ("spikes.csv", ("--vocab-size", 64, "--all"), "fail", 1),
        ("nan.csv", ("--vocab-size", 64, "--all"), "fail", 1),
    ],
)
def test_a_walk_fits_it(name, arguments, verdict, code, language, runs, command):
    answer = command("check", runs / name, *arguments, "--json", "--lang", language)
    assert valid(json.loads(answer.out))["verdict"] == verdict
    assert answer.code == code


@pytest.mark.parametrize("name", ["manifest.json", "metrics.jsonl", "probes.jsonl"])
def test_a_file_of_a_run_stands_for_the_run(name, runs, command):
    whole = command("check", runs / "broken", "--json", "--all")
    assert command("check", runs / "broken" / name, "--json", "--all") == whole
    options = command("check", runs / "broken" / "metrics.jsonl", "--vocab-size", 64, "--json")
    assert options.code == 3  # read as a log like any other, it cannot tell the bias from the scale


def test_a_comparison_fits_it(runs, command):
    answer = command("check", runs / "healthy", "--before", runs / "broken", "--json")
    assert valid(json.loads(answer.out))["fixed"] == ["head-bias"]
    assert answer.code == 0
