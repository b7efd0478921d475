"""The stability check finds what one part of the loop hands on wrongly, and leaves the repaired run alone."""

import contextlib
import dataclasses

import pytest
import torch
from small_runs import SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.faults import FAULTS, FaultError, refuse_idle
from minigpt.faults.handover import HANDOVER_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, train

ASKED = SMALL.replace(steps=24, warmup_steps=5, dropout=0.1, kernels="mkl")
SHOWS_LATE = {  # batches so large that a hundred losses show that they stand still
    "faint-tokens": ASKED.replace(steps=220, batch_size=64, dropout=0.0, eval_every=0, n_embd=32)
}


def named(recipe, path):
    """Return the leaf that a run is found with, or those that it is warned of."""
    with contextlib.suppress(NotFiniteError):
        train(recipe, path)
    found = check(path, whole=True)
    return [found.leaf] if found.leaf else found.watch


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [f.id for f in HANDOVER_FAULTS if f.id not in SHOWS_LATE])
def test_each_fault_is_named(fault, seed, tmp_path):
    assert named(Recipe(ASKED.replace(seed=seed)).with_fault(fault), tmp_path / "run") == [FAULTS[fault].leaf]


@pytest.mark.parametrize("fault", SHOWS_LATE)
def test_each_that_shows_late_is_named_and_the_same_run_without_it_is_not(fault, tmp_path):
    config = SHOWS_LATE[fault]
    assert named(Recipe(config).with_fault(fault), tmp_path / "run") == [FAULTS[fault].leaf]
    assert named(Recipe(config), tmp_path / "healthy") == []


@pytest.mark.parametrize("settings", [{}, {"accumulation": 2, "positions": "rotary", "activation": "swiglu"}])
def test_the_same_runs_without_a_fault_pass(settings, tmp_path):
    train(Recipe(ASKED.replace(**settings)), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS and found.watch == []
    asked = {finding.question: finding.verdict for finding in found.findings}
    assert {asked[question] for question in ("1.7", "1.8", "1.9", "3.5", "4.4", "5.3b")} == {Verdict.PASS}


@pytest.mark.parametrize(
    ("fault", "settings"), [("batch-mixing", {"positions": "rotary", "batch_size": 40}), ("mode-left-on", {})]
)
def test_it_shows_beside_other_blocks_too(fault, settings, tmp_path):
    config = ASKED.replace(steps=3, warmup_steps=1, accumulation=2, **settings)
    assert named(Recipe(config).with_fault(fault), tmp_path / "run") == [fault]


def test_a_batch_that_comes_again_every_few_steps_is_named(tmp_path):
    recipe = Recipe(ASKED)

    def four_batches(tokens, config, step, *place):
        return recipe.get_batch(tokens, config, step % 4, *place)

    assert named(dataclasses.replace(recipe, get_batch=four_batches), tmp_path / "run") == ["repeated-batch"]


def test_weights_replaced_after_the_optimizer_was_built_are_named_where_their_gradient_is_cleared(tmp_path):
    recipe = Recipe(ASKED)

    def build_optimizer(model, config):
        optimizer = recipe.build_optimizer(model, config)
        for block in model.h:
            block.mlp.c_fc.weight = torch.nn.Parameter(block.mlp.c_fc.weight.detach().clone())
            block.mlp.c_fc.weight.register_post_accumulate_grad_hook(
                lambda weight: setattr(weight, "grad", None)
            )
        return optimizer

    broken = dataclasses.replace(recipe, build_optimizer=build_optimizer)
    assert named(broken, tmp_path / "run") == ["parameters-outside-model"]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_is_the_same_bit_for_bit_whether_it_is_looked_at_or_not(accumulation, tmp_path, monkeypatch):
    recipe = Recipe(ASKED.replace(accumulation=accumulation, steps=4, warmup_steps=2))
    looked = train(recipe, tmp_path / "looked").column("loss")[1]
    monkeypatch.setattr("minigpt.training.trainer.first_look", lambda *_: {})
    assert torch.equal(
        torch.tensor(looked), torch.tensor(train(recipe, tmp_path / "blind").column("loss")[1])
    )


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("batch-mixing", {"batch_size": 1}),
        ("batch-mixing", {"mixer": "memory"}),
        ("parameters-outside-model", {"activation": "spiking"}),
        ("dead-units", {"activation": "liquid"}),
        ("dead-units", {"init_from": "base"}),
        ("faint-tokens", {"positions": "rotary"}),
    ],
)
def test_one_that_the_settings_leave_nothing_to_break_is_refused(fault, settings):
    with pytest.raises(FaultError, match=next(iter(settings)).replace("_", "[_-]")):
        refuse_idle((), fault, ASKED.replace(**settings))


def test_a_batch_that_cannot_be_drawn_ends_the_look_and_not_the_run_before_it(tmp_path):
    recipe = Recipe(ASKED)

    def breaks_later(tokens, config, step, *place):
        if step == 20:
            raise OSError("a shard is missing")
        return recipe.get_batch(tokens, config, step, *place)

    with pytest.raises(OSError, match="a shard is missing"):
        train(dataclasses.replace(recipe, get_batch=breaks_later), tmp_path / "run")
    assert check(tmp_path / "run", whole=True).leaf is None
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) >= 20
