"""Which kernels a run uses: measured once, remembered, written down, and the same after a resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from minigpt.messages import MiniGPTError
from minigpt.model.gpt import build_model
from minigpt.model.kernels import ONEDNN, PLAIN, Kernels, has_onednn
from minigpt.runs.run import Run
from minigpt.training import kernel_cache
from minigpt.training.kernel_cache import cache_file, kernels_for
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import resume, train

MIXED = Kernels("onednn", "mkl", "mkl")
onednn = pytest.mark.skipif(not has_onednn(), reason="oneDNN serves x86 processors only")


@pytest.fixture
def minimal(minimal):
    """The choice is left to the measurement."""
    return minimal.replace(kernels="auto")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """A cache of its own, and a measurement that gives MIXED; the list counts how often it was made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_here", {})
    calls = []

    def choose(model, rows, *, compiled):
        calls.append((rows, compiled))
        return MIXED

    monkeypatch.setattr(kernel_cache, "choose_kernels", choose)
    return calls


@pytest.fixture
def ask(minimal, monkeypatch):
    """Return a function that asks as a new process would."""

    def kernels(recorded=None, **settings):
        monkeypatch.setattr(kernel_cache, "_here", {})
        config = minimal.replace(**settings)
        return kernels_for(config, build_model(config), "cpu", recorded)

    return kernels


@onednn
def test_it_is_measured_once_for_each_shape_and_number_of_threads(measured, ask):
    assert [ask(), ask(), ask(steps=24)] == [MIXED] * 3 and len(measured) == 1
    ask(n_embd=32)
    ask(batch_size=8)
    assert len(measured) == 3 and not any(compiled for _, compiled in measured)
    ask(compile=True)  # what a compiled model gains is another question
    assert ask(compile=True) == MIXED and [compiled for _, compiled in measured[3:]] == [True]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)  # more than the machine has, perhaps
        assert ask() == MIXED and len(measured) == 5
    finally:
        torch.set_num_threads(threads)


@onednn
@pytest.mark.parametrize("content", [b"", b'{"torn', b"[1]", b"\xff\xfe", b'{"a": 3}'], ids=repr)
def test_a_cache_that_cannot_be_read_counts_as_empty(measured, ask, content):
    cache_file().parent.mkdir(parents=True)
    cache_file().write_bytes(content)
    assert ask() == ask() == MIXED and len(measured) == 1


@onednn
@pytest.mark.parametrize("wrong", [{"output": "cuda"}, {}, 3, {"output": ["mkl"]}], ids=repr)
def test_an_entry_that_cannot_serve_is_measured_again(measured, ask, wrong):
    ask()
    known = json.loads(cache_file().read_text(encoding="utf-8"))
    cache_file().write_text(json.dumps(dict.fromkeys(known, wrong)), encoding="utf-8")
    assert ask() == ask() == MIXED and len(measured) == 2


@onednn
def test_the_cache_of_another_machine_is_left_alone_and_not_used(measured, ask, monkeypatch):
    ask()
    monkeypatch.setattr(kernel_cache, "processor", lambda: "another one")
    ask()
    assert len(measured) == 2 and len(json.loads(cache_file().read_text(encoding="utf-8"))) == 2


@onednn
def test_without_a_place_to_write_the_process_remembers(measured, minimal, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    model = build_model(minimal)
    assert [kernels_for(minimal, model, "cpu") for _ in range(2)] == [MIXED] * 2 and len(measured) == 1


@onednn
def test_the_oldest_choices_are_forgotten(measured, ask, monkeypatch):
    monkeypatch.setattr(kernel_cache, "MOST_REMEMBERED", 2)
    for width in (16, 32, 48):
        ask(n_embd=width)
    assert len(json.loads(cache_file().read_text(encoding="utf-8"))) == 2
    ask(n_embd=48)
    assert len(measured) == 3


def test_a_setting_a_device_or_a_precision_that_leaves_no_choice(measured, ask, minimal):
    assert ask(kernels="mkl") == ask(precision="bf16") == PLAIN
    assert kernels_for(minimal, build_model(minimal), "cuda") == PLAIN
    assert not measured


@onednn
def test_onednn_can_be_asked_for(measured, ask):
    assert ask(kernels="onednn") == ONEDNN and not measured


def test_onednn_is_refused_where_there_is_none(ask, monkeypatch):
    monkeypatch.setattr(kernel_cache, "has_onednn", lambda: False)
    with pytest.raises(MiniGPTError, match="kernels"):
        ask(kernels="onednn")
    assert ask() == ask(recorded=MIXED._asdict()) == PLAIN


@onednn
def test_a_run_writes_its_choice_down_and_a_resumed_one_takes_it_from_there(measured, minimal, tmp_path):
    run = train(Recipe(minimal), tmp_path / "run")
    assert Kernels(**run.manifest["kernels"]) == MIXED
    kernel_cache._here.clear()
    cache_file().unlink()
    trainer = resume(run.path)
    assert trainer.kernels == MIXED and len(measured) == 1
    trainer.run()
    assert Kernels(**Run(run.path).manifest["kernels"]) == MIXED


CONDITIONS = {  # and what a process is told
    "no AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "one core": {},
    "more threads than cores": {"OMP_NUM_THREADS": str(2 * (os.cpu_count() or 1) + 1)},
}
ONE_CORE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_command_trains_and_says_what_it_chose(condition, tmp_path):
    if condition == "one core" and not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not bind a process to a core")
    code = ONE_CORE * (condition == "one core") + "import sys, minigpt.cli; sys.exit(minigpt.cli.main())"
    small = "--steps 1 --warmup-steps 1 --n-layer 1 --n-embd 16 --n-head 2 --context 16 --eval-batches 1"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", *small.split(), "--run-dir", str(tmp_path / "run")],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | CONDITIONS[condition],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    choice = Kernels(**Run(tmp_path / "run").manifest["kernels"])
    assert set(choice) <= {"mkl", "onednn"}
    remembered = tmp_path / "minigpt" / "kernels.json"
    if condition == "no AVX":
        assert choice == PLAIN
    elif has_onednn():
        assert list(json.loads(remembered.read_text(encoding="utf-8")).values()) == [choice._asdict()]
