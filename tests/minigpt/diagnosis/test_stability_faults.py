"""The stability check finds each fault by name."""

import dataclasses
import json

import pytest
import torch
from small_runs import SHORT, SMALL

from minigpt.diagnosis import check
from minigpt.faults import FAULTS
from minigpt.faults.learning import LEARNING_FAULTS
from minigpt.faults.loop import LOOP_FAULTS
from minigpt.faults.schedule import SCHEDULE_FAULTS
from minigpt.faults.start import START_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [fault.id for fault in START_FAULTS])
def test_each_fault_is_named(fault, seed, tmp_path):
    severity = 40 if fault == "not-untrained" else None  # steps already trained: as few as show
    train(Recipe(SHORT.replace(seed=seed)).with_fault(fault, severity), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd"])
@pytest.mark.parametrize("fault", [fault.id for fault in SCHEDULE_FAULTS])
def test_each_fault_of_the_schedule_is_named(fault, schedule, accumulation, tmp_path):
    config = SMALL.replace(schedule=schedule, accumulation=accumulation)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fault", [fault.id for fault in LOOP_FAULTS])
def test_each_fault_of_the_loop_is_named(fault, seed, tmp_path):
    steps = 100 if fault == "gradient-spikes" else SMALL.steps
    train(Recipe(SMALL.replace(seed=seed, steps=steps)).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("fault", [fault.id for fault in LEARNING_FAULTS])
def test_each_fault_of_learning_is_named(fault, tmp_path):
    steps = 400 if fault == "overfitting" else 201
    config = SMALL.replace(steps=steps, n_embd=32, batch_size=8, eval_every=50, eval_batches=4)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.leaf == FAULTS[fault].leaf
    assert ("overfit-onset" in found.leaves) == (fault == "overfitting")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", ["future-leak", "residual-scale"])
def test_a_fault_of_attention_is_named_in_a_memory_too(fault, seed, tmp_path):
    """Its attention lies within the mixer, and its gate has so few numbers that their spread says little."""
    config = SMALL.replace(seed=seed, mixer="memory", short_term_size=4)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == fault


@pytest.mark.parametrize(
    ("position", "place", "named"),
    [
        ("pre", "h.1.ln_1", "h.1.attn"),
        ("pre", "h.0.ln_2", "h.0.mlp"),
        ("pre", "ln_f", "lm_head"),
        ("post", "h.0.ln_1", "h.0.mlp"),
        ("post", "h.1.ln_2", "h.1"),
    ],
)
def test_a_single_norm_that_is_missing_is_named_with_its_place(position, place, named, tmp_path):
    recipe = Recipe(SHORT.replace(norm_position=position, dropout=0.1))

    def build_model(config):
        model = recipe.build_model(config)
        model.set_submodule(place, torch.nn.Identity())
        return model

    train(dataclasses.replace(recipe, build_model=build_model), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.leaf == "missing-norm"
    assert found.end.values["place"] == named


@pytest.mark.parametrize("fault", ["init-scale:3", "head-bias:1.5", "lr-too-low:1e-8"])
def test_a_mild_fault_is_named_too(fault, tmp_path):
    steps = 201 if fault.startswith("lr") else 2
    train(Recipe(SMALL.replace(steps=steps, warmup_steps=1)).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault.partition(":")[0]].leaf


@pytest.mark.parametrize("off", [lambda t, w: t / w, lambda t, w: (t + 1) / (w + 1)])
def test_a_short_warm_up_that_is_off_by_one_is_named(off, tmp_path):
    recipe = Recipe(SMALL)

    def lr_at(step, config):
        warm = step < config.warmup_steps
        return config.lr_max * off(step, config.warmup_steps) if warm else recipe.lr_at(step, config)

    train(dataclasses.replace(recipe, lr_at=lr_at), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "warmup-off-by-one"


def test_a_schedule_that_stops_with_the_warm_up_is_named_before_what_is_wrong_in_it(tmp_path):
    both = Recipe(SMALL).with_fault("scheduler-never-stepped").with_fault("warmup-off-by-one")
    train(both, tmp_path / "run")
    assert check(tmp_path / "run").leaf == "scheduler-never-stepped"


def test_a_run_cut_during_warm_up_still_tells_micro_batches_from_a_slow_group(tmp_path):
    """Case A in small: the schedule counts micro-batches and group 0 has a multiplier of 0.1."""
    config = SMALL.replace(accumulation=3, steps=10, warmup_steps=10)
    both = Recipe(config).with_fault("schedule-step-unit").with_fault("lr-group-scale")
    train(both, tmp_path / "both")
    assert check(tmp_path / "both").leaf == "schedule-step-unit"
    train(Recipe(config).with_fault("lr-group-scale"), tmp_path / "one")
    assert check(tmp_path / "one").leaf == "lr-group-scale"


def test_the_verdict_does_not_come_from_the_list_of_faults(tmp_path):
    train(Recipe(SHORT).with_fault("target-shift"), tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    assert content.pop("faults") == ["target-shift"]
    manifest.write_text(json.dumps(content))
    assert check(tmp_path / "run").leaf == "target-shift"


def test_a_double_shift_shows_in_a_checkpoint_at_step_0(tiny_run, tmp_path):
    fine_tuned = tiny_run.config.replace(init_from=str(tiny_run.path), steps=2, warmup_steps=1)
    train(Recipe(fine_tuned).with_fault("target-shift"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "target-shift"


def test_a_part_changed_by_hand_is_found_too(tmp_path):
    recipe = Recipe(SHORT)

    def summed(logits, targets, mask):
        return recipe.loss(logits, targets, mask) * mask.sum()

    train(dataclasses.replace(recipe, loss=summed), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "loss-reduction"


def test_future_tokens_are_seen_through_any_fixed_mixture_of_logits(tmp_path):
    torch.manual_seed(0)
    train(Recipe(SHORT.replace(n_layer=1, n_head=1)).with_fault("future-leak"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "future-leak"
