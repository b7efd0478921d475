"""Real repairs whose published diagnosis was wrong, reproduced small: the check names the real cause."""

import json

import numpy as np
import pytest

from minigpt.config import Config
from minigpt.diagnosis import QUESTIONS, Evidence, check, walk
from minigpt.diagnosis.report import seen
from minigpt.messages import LANGUAGES
from minigpt.runs.jsonl import Columns
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

SMALL = Config(
    n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, eval_batches=1, warmup_steps=10, steps=20
)


@pytest.mark.parametrize("steps", [5, 20])  # cut in the middle of the warm-up, and whole
def test_case_a_small_names_the_micro_batches_and_the_slow_group(steps, tmp_path):
    config = SMALL.replace(accumulation=3, steps=steps, warmup_steps=min(steps, 10))
    broken = Recipe(config).with_fault("schedule-step-unit").with_fault("lr-group-scale")
    train(broken, tmp_path / "run")
    assert check(tmp_path / "run").leaf == "schedule-step-unit"
    assert check(tmp_path / "run", whole=True).leaves == ["schedule-step-unit", "lr-group-scale"]


def test_case_a_at_its_real_size_repeats_the_figure_on_the_screen():
    """42,496 micro-batches an epoch, 20 epochs, a tenth of them warm-up; 3 to a step; a group at 0.1."""
    in_micro_batches = 42_496 * 20 // 10
    assert in_micro_batches == 84_992
    config = Config(
        lr_max=5e-5, lr_min=0.0, accumulation=3, steps=283_307, warmup_steps=in_micro_batches // 3
    )
    steps = np.arange(468)  # iteration 1405 is in step 468
    rates = 5e-5 * (steps + 1) / in_micro_batches
    metrics = Columns.of({"step": (steps, steps * 1.0), "lr.0": (steps, 0.1 * rates), "lr.1": (steps, rates)})
    found = walk(Evidence(vocab_size=32_000, config=config, metrics=metrics), QUESTIONS, whole=True)
    assert found.leaves == ["schedule-step-unit", "lr-group-scale"]
    assert found.end.values["step"] == 467
    assert found.end.values["realised"] == pytest.approx(2.753e-8, rel=1e-3)
    for language in LANGUAGES:
        assert "2.753e-07 × 0.1 = 2.753e-08" in seen(found.end, language)


def test_case_b_a_pretrained_model_that_starts_near_chance_has_shifted_targets(tmp_path, command):
    """GPT-2 started at 9.23 with 50,257 tokens: its log says at step 0 that something is wrong.

    A fresh head on a pretrained body looks the same there; what the targets are, only a probe can tell.
    """
    (tmp_path / "log.csv").write_text("step,loss\n0,9.23\n1,9.2\n")
    answer = command("check", tmp_path / "log.csv", "--vocab-size", 50_257, "--from-checkpoint", "--json")
    assert answer.code == 3 and '"verdict": "unknown"' in answer.out
    assert json.loads(answer.out)["odd"] == ["1.1b"]


@pytest.mark.parametrize("pretrained", [False, True])
def test_case_b_small_is_found_at_step_0(pretrained, tmp_path):
    config = SMALL.replace(steps=1, warmup_steps=1)
    if pretrained:
        train(Recipe(SMALL.replace(steps=150, lr_max=1e-2)), tmp_path / "base")
        config = config.replace(init_from=str(tmp_path / "base"))
    train(Recipe(config).with_fault("target-shift"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "target-shift"
