"""bf16 and fp16 run on a CPU, the scaler recovers, and compiling changes the speed alone."""

import math
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from minigpt.messages import MiniGPTError
from minigpt.training import precision
from minigpt.training.precision import build_precision
from minigpt.training.recipe import Recipe
from minigpt.training.rounding import by_chance, to_nearest
from minigpt.training.trainer import Trainer, train

HAS_COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++"))


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_the_forward_pass_computes_in_the_format_asked_for(minimal, name, dtype):
    chosen = build_precision(minimal.replace(precision=name), "cpu")
    with chosen.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype is dtype
    assert chosen.scaler.is_enabled() == (name == "fp16")


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_half_precision_learns_what_fp32_learns(minimal, name, tmp_path):
    full = train(Recipe(minimal), tmp_path / "fp32").column("loss")[1]
    scale = {"loss_scale": 1024} if name == "fp16" else {}
    half = train(Recipe(minimal.replace(precision=name, **scale)), tmp_path / name).column("loss")[1]
    assert half == pytest.approx(full, abs=0.05) and (half != full).any()


def test_a_scale_that_is_too_large_skips_backs_off_and_recovers(minimal, tmp_path):
    config = minimal.replace(precision="fp16", loss_scale=2.0**40)
    records = train(Recipe(config.replace(steps=40)), tmp_path / "run").metrics
    skipped = [record["skipped"] for record in records]
    taken = skipped.index(False)
    assert 5 < taken < 35 and skipped == [True] * taken + [False] * (40 - taken)
    assert [record["scale"] for record in records[: taken + 1]] == [
        2.0 ** (40 - step) for step in range(taken + 1)
    ]
    assert not any(math.isfinite(record["grad_norm"]) for record in records[:taken])
    assert (
        records[0]["loss"] == pytest.approx(records[0]["loss"]) and records[-1]["loss"] < records[0]["loss"]
    )


def test_without_a_compiler_the_sentence_says_what_to_install(minimal, monkeypatch, tmp_path):
    monkeypatch.setattr(precision.shutil, "which", lambda _name: None)
    with pytest.raises(MiniGPTError, match="g\\+\\+"):
        Trainer(Recipe(minimal.replace(compile=True)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not HAS_COMPILER, reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_has_the_losses_of_a_plain_one(minimal, tmp_path, monkeypatch):
    # PyTorch takes code that was compiled for wider vectors from its cache, and cannot build it without them
    cache = Path(tempfile.gettempdir()) / f"torchinductor-{torch.backends.cpu.get_cpu_capability()}"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(cache))
    short = minimal.replace(steps=3)
    plain = train(Recipe(short), tmp_path / "plain").column("loss")[1]
    compiled = train(Recipe(short.replace(compile=True)), tmp_path / "compiled").column("loss")[1]
    assert compiled == pytest.approx(plain, abs=1e-5)


def test_the_loss_scale_follows_its_four_settings(minimal, tmp_path):
    settings = {"loss_scale": 2.0**6, "loss_scale_growth": 1.5, "loss_scale_interval": 3}
    config = minimal.replace(precision="fp16", steps=10, **settings)
    scales = [record["scale"] for record in train(Recipe(config), tmp_path / "grows").metrics]
    assert scales == [2.0**6 * 1.5 ** (step // 3) for step in range(10)]
    config = minimal.replace(precision="fp16", steps=8, loss_scale=2.0**40, loss_scale_backoff=0.25)
    scales = [record["scale"] for record in train(Recipe(config), tmp_path / "falls").metrics]
    assert scales[:4] == [2.0**40, 2.0**38, 2.0**36, 2.0**34]


def test_a_scale_that_cannot_grow_or_fall_is_refused(minimal):
    for settings in ({"loss_scale_growth": 1.0}, {"loss_scale_backoff": 1.0}, {"loss_scale_interval": 0}):
        with pytest.raises(MiniGPTError, match=next(iter(settings))):
            minimal.replace(precision="fp16", **settings)
    with pytest.raises(MiniGPTError, match="precision"):
        minimal.replace(loss_scale_growth=1.5).refuse_idle()


def test_rounding_by_chance_is_right_on_average_and_leaves_what_bf16_has():
    torch.manual_seed(0)
    values = torch.tensor([1.0 + 2**-9, -3.0, 1e-3 * 1.01])
    rounded = torch.stack([by_chance(values) for _ in range(20_000)])
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert rounded.mean(0) == pytest.approx(values, rel=2e-4)
    assert (rounded[:, 1] == -3.0).all() and (to_nearest(values)[0] == 1.0).item()


def test_updates_are_lost_in_bf16_weights_and_kept_by_stochastic_rounding(minimal, tmp_path):
    config = minimal.replace(steps=200, lr_max=1e-3, lr_min=1e-3, warmup_steps=0, eval_every=0)
    ends = {}
    for weights in ("fp32", "bf16", "bf16_stochastic"):
        losses = train(Recipe(config.replace(weights=weights)), tmp_path / weights).column("loss")[1]
        ends[weights] = losses[-30:].mean()
    assert ends["bf16"] - ends["fp32"] > 0.05
    assert abs(ends["bf16_stochastic"] - ends["fp32"]) < 0.5 * (ends["bf16"] - ends["fp32"])
