"""The dynamics tree finds each fault of the dynamics by name, and leaves healthy runs alone."""

import json

import pytest
from small_runs import SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.diagnosis.report import as_data
from minigpt.faults import FAULTS
from minigpt.faults.dynamics import DYNAMICS_FAULTS
from minigpt.messages import LANGUAGES
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

LEARNS = SMALL.replace(steps=150, n_layer=2, n_embd=32, batch_size=8, warmup_steps=15, checkpoint_every=0)
ASKED = {
    "bad-shard": LEARNS.replace(steps=240),  # so that there is something to lose
    "attention-logit-growth": LEARNS.replace(batch_size=16),
    "no-warmup": LEARNS.replace(steps=40, n_embd=64, n_head=4, context=64),
    "dead-gate": SMALL,
    "memory-leak-across-batches": SMALL,
    "partial-window": SMALL,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [fault.id for fault in DYNAMICS_FAULTS])
def test_each_fault_of_the_dynamics_is_named(fault, seed, tmp_path):
    config = ASKED.get(fault, LEARNS).replace(seed=seed)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.leaf == FAULTS[fault].leaf, [f for f in found.findings if f.leaf]


@pytest.mark.parametrize("fault", ["rate-burst", "bad-shard"])
def test_what_is_named_is_where_it_was_broken(fault, tmp_path):
    config = ASKED.get(fault, LEARNS)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    end = check(tmp_path / "run", whole=True).end
    assert config.steps // 2 <= end.values["step"] <= config.steps // 2 + 5


@pytest.mark.parametrize(
    ("fault", "guard", "question"),
    [("rate-burst", "guard_rate", "8.1"), ("bad-shard", "guard_spikes", "8.2")],
)
def test_what_a_guard_held_off_is_told_and_no_fault(fault, guard, question, tmp_path):
    config = ASKED["bad-shard"].replace(**{guard: True})
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS, [f for f in found.findings if f.leaf]
    (told,) = [f for f in found.findings if f.question == question]
    where = told.values.get("batch", told.values["step"])  # batches keep their number, steps are made later
    assert told.verdict is Verdict.WARN and 120 <= where <= 125
    for code in LANGUAGES:
        json.dumps(as_data(found, code), allow_nan=False)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_runs_without_a_fault_pass(seed, tmp_path):
    train(Recipe(ASKED["bad-shard"].replace(seed=seed)), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS
    assert not [
        f
        for f in found.findings
        if f.tree == "dynamics" and f.verdict is Verdict.WARN and f.question != "11.6"
    ]


def test_a_run_that_is_logged_twice_is_named(tmp_path):
    """No part of a recipe writes the log, so no fault plants this: a callback that writes, too, does."""

    class WritesToo:
        def on_step(self, trainer, record):
            trainer.writer.metric(record)

    train(Recipe(SMALL.replace(steps=12, warmup_steps=3)), tmp_path / "run", callbacks=[WritesToo()])
    assert check(tmp_path / "run", whole=True).leaf == "duplicate-logging"
