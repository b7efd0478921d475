"""The dynamics tree finds each fault of the dynamics by name, and leaves healthy runs alone."""

import pytest
from small_runs import SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.faults import FAULTS
from minigpt.faults.dynamics import DYNAMICS_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

LEARNS = SMALL.replace(steps=150, n_layer=2, n_embd=32, batch_size=8, warmup_steps=15, checkpoint_every=0)
ASKED = {
    "bad-shard": LEARNS.replace(steps=240),  # so that there is something to lose
    "attention-logit-growth": LEARNS.replace(batch_size=16),
    "no-warmup": LEARNS.replace(steps=40, n_embd=64, n_head=4, context=64),
    "dead-gate": SMALL,
    "memory-leak-across-batches": SMALL,
    "writes-outside-optimizer": SMALL,
    "partial-window": SMALL,
}
HARD = {"attention-logit-growth": 0.3}  # a smaller model takes more


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [fault.id for fault in DYNAMICS_FAULTS])
def test_each_fault_of_the_dynamics_is_named(fault, seed, tmp_path):
    config = ASKED.get(fault, LEARNS).replace(seed=seed)
    train(Recipe(config).with_fault(fault, HARD.get(fault)), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.leaf == FAULTS[fault].leaf, [f for f in found.findings if f.leaf]


@pytest.mark.parametrize("fault", ["rate-burst", "bad-shard"])
def test_what_is_named_is_where_it_was_broken(fault, tmp_path):
    config = ASKED.get(fault, LEARNS)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    end = check(tmp_path / "run", whole=True).end
    assert config.steps // 2 <= end.values["step"] <= config.steps // 2 + 5


@pytest.mark.parametrize("seed", range(3))
def test_the_same_runs_without_a_fault_pass(seed, tmp_path):
    train(Recipe(ASKED["bad-shard"].replace(seed=seed)), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS
    assert not [f for f in found.findings if f.tree == "dynamics" and f.verdict is Verdict.WARN]
