"""Writes that nobody declared and a task that is lost are found by name; what is declared passes."""

import pytest
from small_runs import SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ["gelu", "spiking"])
def test_undeclared_writes_are_found(seed, activation, tmp_path):
    recipe = Recipe(SMALL.replace(seed=seed, activation=activation)).with_fault("writes-outside-optimizer")
    train(recipe, tmp_path / "run")
    assert check(tmp_path / "run").leaf == "writes-outside-optimizer"


def test_the_smallest_write_is_found(tmp_path):
    train(Recipe(SMALL).with_fault("writes-outside-optimizer", 1e-6), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "writes-outside-optimizer"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["pair", "homeostatic"])
def test_declared_ones_pass(rule, seed, tmp_path):
    config = SMALL.replace(seed=seed, activation="spiking", plasticity=rule)
    train(Recipe(config), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS
    answers = {finding.question: finding.verdict for finding in found.findings if finding.tree == "dynamics"}
    assert answers["11.1"] is Verdict.PASS


def test_undeclared_writes_are_found_beside_declared_ones(tmp_path):
    config = SMALL.replace(activation="spiking", plasticity="pair")
    train(Recipe(config).with_fault("writes-outside-optimizer"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "writes-outside-optimizer"


TASKS = SMALL.replace(steps=240, n_embd=32, batch_size=8, eval_every=40, eval_batches=4, lr_max=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_forgetting_is_found_and_replay_cures_it(seed, tmp_path):
    recipe = Recipe(TASKS.replace(seed=seed)).with_fault("forgetting")
    train(recipe, tmp_path / "broken")
    assert check(tmp_path / "broken").leaf == "forgetting"
    train(Recipe(recipe.config.replace(replay=0.25)), tmp_path / "cured")
    found = check(tmp_path / "cured", whole=True)
    assert found.verdict is Verdict.PASS, [finding for finding in found.findings if finding.leaf]
