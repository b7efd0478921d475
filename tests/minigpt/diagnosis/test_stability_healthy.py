"""The stability check lets healthy runs of every kind pass, and leaves them as they were."""

import pytest
from small_runs import SHORT, SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_passes(seed, tmp_path):
    train(Recipe(SHORT.replace(seed=seed)), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.verdict is Verdict.PASS
    assert {finding.verdict for finding in found.findings} <= {Verdict.PASS, Verdict.NOT_MEASURED}


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "qk_norm": True},
        {"norm_position": "post"},
        {"bias": True, "dropout": 0.1},
        {"tied_head": False, "n_layer": 4},
        {"n_embd": 64, "vocab_size": 1024},
        {"lr_max": 3e-3, "lr_min": 3e-4},
        {"weight_decay": 0.0},
        {"beta1": 0.8, "beta2": 0.999},
        {"freeze": "wte,h.0.attn"},
        {"precision": "bf16"},
        {"accumulation": 3, "clip_norm": 0.3},
        {"mixer": "state_space"},
        {"activation": "spiking"},
        {"activation": "liquid"},
        {"mixer": "two_streams", "cross_attention_heads": 2, "gate_heads": 2},
        {"tasks": "conjugations,python", "replay": 0.25},
    ],
    ids=str,
)
def test_healthy_runs_of_every_kind_pass(settings, tmp_path):
    config = SMALL.replace(steps=201, batch_size=8, eval_every=100, **settings)
    train(Recipe(config), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS, [finding for finding in found.findings if finding.leaf]


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant", "warmup_steps": 0},  # on purpose
        {"schedule": "constant"},
        {"schedule": "linear"},
        {"schedule": "wsd"},
        {"schedule": "step"},
        {"warmup_steps": 0},
        {"warmup_steps": 1},
        {"warmup_steps": 40},
        {"lr_min": 0.0},
        {"lr_multipliers": "wte=0.1,h.0=2"},
        {"freeze": "wte"},
        {"accumulation": 4},
    ],
    ids=str,
)
def test_a_schedule_asked_for_is_no_fault(settings, tmp_path):
    train(Recipe(SMALL.replace(**settings)), tmp_path / "run")
    assert check(tmp_path / "run").verdict is Verdict.PASS


def test_starting_from_a_declared_checkpoint_is_no_fault(tiny_run, tmp_path):
    fine_tuned = tiny_run.config.replace(init_from=str(tiny_run.path), steps=2, warmup_steps=1)
    train(Recipe(fine_tuned), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.verdict is Verdict.PASS
    verdicts = {finding.question: finding.verdict for finding in found.findings}
    assert verdicts["1.1"] is Verdict.NOT_MEASURED
    assert verdicts["1.1b"] is Verdict.PASS


def test_probes_leave_the_run_as_it_was(tmp_path, monkeypatch):
    config = SHORT.replace(steps=4, dropout=0.1)
    with_probes = [record["loss"] for record in train(Recipe(config), tmp_path / "with").metrics]
    monkeypatch.setattr("minigpt.training.trainer.start_probes", lambda *arguments: {})
    monkeypatch.setattr("minigpt.training.trainer.rehearse", lambda *arguments: {})
    without = [record["loss"] for record in train(Recipe(config), tmp_path / "without").metrics]
    assert with_probes == without
