"""A run of minigpt's first version, killed after six of eight steps, is read and resumed by this one."""

import json
import shutil
from pathlib import Path

import pytest

from minigpt import Recipe, resume, train
from minigpt.runs import checkpoint
from minigpt.runs.checkpoint import CheckpointError
from minigpt.runs.run import Run

STORED = Path(__file__).parent / "first-version"


@pytest.fixture
def stored(tmp_path):
    shutil.copytree(STORED, tmp_path / "run")
    return tmp_path / "run"


def test_it_is_read(stored):
    run = Run(stored)
    assert run.config.mixer == "attention" and run.events == []
    assert run.column("step")[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_it_is_resumed_with_its_fault_and_becomes_the_run_that_it_would_have_been(stored, tmp_path):
    trainer = resume(stored)
    assert (trainer.step, trainer.state.data_step, trainer.state.furthest) == (4, 4, 4)
    assert trainer.state.best_val_loss == pytest.approx(6.2363972663879395)
    run = trainer.run()
    recipe = Recipe(run.config).with_fault("residual-scale")
    whole = train(recipe, tmp_path / "whole")
    for name in ("loss", "val_loss"):
        assert run.column(name)[1].tolist() == pytest.approx(whole.column(name)[1].tolist(), abs=1e-4)
    state = json.loads((checkpoint.find(run.path / "checkpoints")[-1] / "state.json").read_text())
    assert state["format"] == checkpoint.FORMAT and state["evaluations_without_better"] == 0


def test_a_checkpoint_of_a_newer_version_is_refused_in_a_sentence(stored):
    (path,) = checkpoint.find(stored / "checkpoints")
    state = json.loads((path / "state.json").read_text()) | {"format": checkpoint.FORMAT + 1}
    (path / "state.json").write_text(json.dumps(state))
    (path / "hashes.json").write_text(checkpoint._hashes(path))
    with pytest.raises(CheckpointError, match="newer version"):
        resume(stored)
