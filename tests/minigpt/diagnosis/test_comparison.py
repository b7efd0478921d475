"""Two walks side by side, and what is named fixed until nothing is left."""

import json

import pytest

from minigpt.config import Config
from minigpt.diagnosis import Verdict, check
from minigpt.diagnosis.comparison import Change, compare
from minigpt.faults import FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

SMALL = Config(
    steps=25, warmup_steps=5, n_layer=2, n_head=2, n_embd=16, context=16, batch_size=4, eval_batches=1
)


def run_with(folder, *faults):
    """Train a small run with these faults and return where it lies."""
    recipe = Recipe(SMALL)
    for fault in faults:
        recipe = recipe.with_fault(fault)
    path = folder / ("+".join(faults) or "healthy")
    train(recipe, path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    kinds = {"both": ("future-leak", "decay-groups"), "one": ("decay-groups",), "other": ("missing-norm",)}
    return {name: run_with(folder, *faults) for name, faults in kinds.items()}


def test_a_comparison_tells_what_is_fixed_what_is_left_and_what_is_new(runs):
    walks = {name: check(path, whole=True) for name, path in runs.items()}
    fixed = compare(walks["both"], walks["one"])
    assert fixed.leaves(Change.FIXED) == ["future-leak"]
    assert fixed.leaves(Change.STILL) == ["decay-groups"]
    assert fixed.leaves(Change.NEW) == []
    worse = compare(walks["one"], walks["other"])
    assert worse.leaves(Change.FIXED) == ["decay-groups"]
    assert worse.leaves(Change.NEW) == ["missing-norm"]


def test_the_command_compares_in_two_languages_and_as_data(runs, command):
    asked = ("check", runs["one"], "--before", runs["both"])
    english = command(*asked)
    assert english.code == 1  # of the later run, which has one fault left
    assert "Fixed: future-leak." in english.out and "Still there: decay-groups." in english.out
    assert "Arreglado: future-leak." in command(*asked, "--lang", "es").out
    assert "Two groups:" in english.out  # what is to be changed next
    data = json.loads(command(*asked, "--json").out)
    assert (data["fixed"], data["still"], data["new"]) == (["future-leak"], ["decay-groups"], [])
    assert data["before"]["leaf"] == "future-leak" and data["after"]["leaf"] == "decay-groups"
    assert {"question": "1.5", "before": "fail", "after": "pass", "change": "fixed"} in data["changes"]


def test_what_is_no_longer_measured_is_not_called_fixed(runs, command, tmp_path):
    short = tmp_path / "short.csv"
    short.write_text("step,loss\n0,6.2\n1,6.1\n")
    told = command("check", short, "--before", runs["one"])
    assert told.code == 3
    assert "not known to be fixed: decay-groups." in told.out and "Fixed" not in told.out
    assert "too little was recorded" in " ".join(told.out.split())  # nothing is off: nothing is known


def test_a_run_to_compare_with_that_is_not_there_is_said_in_a_sentence(runs, command):
    assert "There is no run" in command("check", runs["one"], "--before", runs["one"] / "nothing").sentence


@pytest.mark.parametrize(
    "pair",
    [
        ("init-scale", "schedule-step-unit"),
        ("missing-zero-grad", "accumulation-sum"),
        ("loss-mask-empty", "missing-norm"),
        ("base-lr-zero", "lost-optimizer-state"),
    ],
)
def test_mending_what_is_named_ends_healthy(pair, tmp_path):
    left, named = list(pair), []
    while left:
        found = check(run_with(tmp_path, *left))
        named.append(found.leaf)
        left.remove(next(fault for fault in left if FAULTS[fault].leaf == found.leaf))
    assert sorted(named) == sorted(FAULTS[fault].leaf for fault in pair)
    assert check(run_with(tmp_path)).verdict is Verdict.PASS
