"""Checkpoints: whole or not there, checked to the byte, and of this model or refused."""

import errno
import random
import shutil

import pytest
import torch
from small_runs import MINIMAL

from minigpt.model.gpt import build_model, init_weights
from minigpt.runs import checkpoint
from minigpt.runs.checkpoint import CheckpointError
from minigpt.training.optim import build_optimizer

STATE = {"step": 7, "best_val_loss": float("inf"), "looks_without_better": 0, "scaler": {}}


def trained(config=MINIMAL, steps=2):
    """A model and its optimizer after some steps, so that there are moments to keep."""
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    optimizer = build_optimizer(model, config)
    for _ in range(steps):
        model(torch.arange(8)[None]).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


@pytest.fixture
def saved(tmp_path):
    return checkpoint.save(tmp_path, *trained(), STATE)


def tensors(model, optimizer):
    moments = [
        value for parameter in model.parameters() for _, value in sorted(optimizer.state[parameter].items())
    ]
    return [*model.state_dict().values(), *moments]


def test_what_is_saved_comes_back(saved):
    there = trained()
    here = trained(MINIMAL.replace(seed=1), steps=0)
    state = checkpoint.load(saved, *here).state
    assert len(tensors(*here)) == len(tensors(*there))
    assert all(torch.equal(a, b) for a, b in zip(tensors(*here), tensors(*there), strict=True))
    assert state == STATE | {"best_val_loss": "Infinity"} and float(state["best_val_loss"]) == float("inf")


def test_a_checkpoint_before_the_first_step_has_no_moments(tmp_path):
    model, optimizer = trained(steps=0)
    path = checkpoint.save(tmp_path, model, optimizer, STATE | {"step": 0})
    fresh = trained(steps=0)
    checkpoint.load(path, *fresh)
    assert not fresh[1].state


def test_a_tied_head_is_written_once(saved):
    assert (saved / "weights.safetensors").stat().st_size < 4 * (512 * 16 * 2)


def test_no_file_is_a_pickle(saved):
    assert {path.name for path in saved.iterdir()} == {*checkpoint.FILES, "hashes.json"}
    assert not any(path.read_bytes().startswith((b"\x80", b"PK")) for path in saved.iterdir())


@pytest.mark.parametrize("name", [*checkpoint.FILES, "hashes.json"])
def test_any_byte_flipped_or_cut_in_any_file_is_refused(saved, name):
    checkpoint.verify(saved)
    whole = (saved / name).read_bytes()
    places = {0, len(whole) - 1, *random.Random(0).sample(range(len(whole)), min(40, len(whole)))}
    damaged = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in places]
    damaged += [whole[:at] for at in places] + [whole + b"\n", b""]
    for content in damaged:
        (saved / name).write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load(saved, *trained())
        assert name in str(caught.value) or name == "hashes.json"
    (saved / name).unlink()
    with pytest.raises(CheckpointError):
        checkpoint.verify(saved)


def test_the_newest_intact_one_is_used_and_the_damaged_are_named(tmp_path):
    paths = [checkpoint.save(tmp_path, *trained(), STATE | {"step": step}) for step in (1, 2, 3)]
    (paths[2] / "state.json").write_text("{}")
    (paths[1] / "weights.safetensors").unlink()
    newest, damaged = checkpoint.latest(tmp_path)
    assert newest == paths[0]
    assert [error.values["path"] for error in damaged] == [paths[2], paths[1]]


def test_none_at_all_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.latest(tmp_path / "checkpoints")


def test_the_order_is_that_of_the_steps_whatever_their_digits(tmp_path):
    steps = [999_999, 1_000_000, 5, 20]
    for step in steps:
        checkpoint.save(tmp_path, *trained(), STATE | {"step": step})
    (tmp_path / "step-backup").mkdir()
    assert [int(path.name[5:]) for path in checkpoint.find(tmp_path)] == sorted(steps)
    assert checkpoint.latest(tmp_path)[0].name == "step-1000000"


@pytest.mark.parametrize(("keep", "left"), [(0, [1, 2, 3, 4, 5]), (2, [4, 5]), (1, [5])])
def test_only_the_newest_are_kept(tmp_path, keep, left):
    for step in range(1, 6):
        checkpoint.save(tmp_path, *trained(), STATE | {"step": step}, keep)
    assert [int(path.name[5:]) for path in checkpoint.find(tmp_path)] == left
    assert len(list(tmp_path.iterdir())) == len(left)


def test_the_same_step_can_be_saved_again(tmp_path):
    for _ in range(2):
        path = checkpoint.save(tmp_path, *trained(), STATE)
    checkpoint.verify(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_never_used_and_is_cleared_away(tmp_path, saved):
    shutil.copytree(saved, tmp_path / ".new-step-000008")
    shutil.copytree(saved, tmp_path / ".old-step-000003")
    assert checkpoint.find(tmp_path) == [saved]
    following = checkpoint.save(tmp_path, *trained(), STATE | {"step": 9})
    assert sorted(tmp_path.iterdir()) == [saved, following]


@pytest.mark.parametrize("failing", ["save_file", "_sync", "_hashes"])
def test_a_disk_that_fills_up_leaves_the_earlier_one_intact(tmp_path, saved, monkeypatch, failing):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, failing, full)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(tmp_path, *trained(), STATE | {"step": 8})
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [saved]
    assert checkpoint.latest(tmp_path) == (saved, [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_embd": 32}, r"weight has shape \(\d+, 16\) there and \(\d+, 32\) here"),
        ({"vocab_size": 300}, r"wte.weight has shape \(512, 16\) there and \(300, 16\) here"),
        ({"n_layer": 2}, r"h\.1\..* has shape None there"),
        ({"bias": True}, r"bias has shape None there"),
        ({"context": 32}, r"wpe.weight has shape \(16, 16\) there and \(32, 16\) here"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_and_changes_nothing(saved, change, named):
    model, optimizer = trained(MINIMAL.replace(**change), steps=0)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(CheckpointError, match=named):
        checkpoint.load(saved, model, optimizer)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
