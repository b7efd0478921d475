"""bf16 and fp16 run on a CPU, the scaler recovers, and compiling changes the speed alone."""

import math
import shutil

import pytest
import torch

from minigpt.messages import MiniGPTError
from minigpt.training import precision
from minigpt.training.precision import build_precision
from minigpt.training.recipe import Recipe
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
def test_a_compiled_run_has_the_losses_of_a_plain_one(minimal, tmp_path):
    short = minimal.replace(steps=3)
    plain = train(Recipe(short), tmp_path / "plain").column("loss")[1]
    compiled = train(Recipe(short.replace(compile=True)), tmp_path / "compiled").column("loss")[1]
    assert compiled == pytest.approx(plain, abs=1e-5)
