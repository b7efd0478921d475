"""Two gloo processes under torchrun are one process with the same global batch, and none waits for ever."""

import json
import os
import signal
import sys
from pathlib import Path

import ddp_worker
import pytest
import torch
from safetensors.torch import load_file
from small_runs import HANGS, MINIMAL, flags, spawn

from minigpt.messages import MiniGPTError
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.training.callbacks.telemetry import BY_THE_CLOCK
from minigpt.training.distributed import World, join_world
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer, resume

KILLED = ("killed", "killed-in-the-rollback")
COMPARED = [*ddp_worker.RECIPES, "interrupted", *KILLED]
EXACT = [scenario for scenario in COMPARED if scenario not in ("fp16", "guarded", *KILLED)]
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}


def torchrun(*argv: object, processes: int = 2) -> tuple[int, str, str]:
    """Run `torchrun` on this machine alone, on a free port."""
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    process = spawn(*launcher, *argv, env=LOOPBACK, start_new_session=True)
    try:
        out, err = process.communicate(timeout=HANGS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every scenario, trained by one process (this one) and by two."""
    folder = tmp_path_factory.mktemp("distributed")
    ddp_worker.main(folder, COMPARED)
    code, _, err = torchrun(Path(ddp_worker.__file__), folder, *COMPARED, "anybodys-loop", "failing")
    assert code == 0, err
    return folder


def assert_same_weights(run: Run, other: Run) -> None:
    """Hold the last checkpoints of two runs to the same weights, bit for bit."""
    one, two = (
        load_file(checkpoint.find(each.path / "checkpoints")[-1] / "weights.safetensors")
        for each in (run, other)
    )
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("scenario", EXACT)
def test_two_processes_have_the_losses_and_gradients_of_one(folder, scenario):
    one, two = (Run(folder / f"{scenario}-{size}") for size in (1, 2))
    for name in ("loss", "val_loss"):
        assert two.column(name)[1] == pytest.approx(one.column(name)[1], rel=1e-6)
    assert two.column("grad_norm")[1] == pytest.approx(one.column("grad_norm")[1], rel=1e-5)
    assert two.column("tokens")[1].tolist() == one.column("tokens")[1].tolist()
    assert (one.manifest["processes"], two.manifest["processes"]) == (1, 2)


def test_the_scenarios_are_not_all_the_same(folder):
    scenarios = ddp_worker.RECIPES.keys() - {"guarded"}  # which is "never-given" in the end
    finals = {Run(folder / f"{scenario}-1").column("loss")[1][-1] for scenario in scenarios}
    assert len(finals) == len(scenarios)


@pytest.mark.parametrize("size", [1, 2])
def test_a_rollback_is_the_run_that_was_never_given_those_batches(folder, size):
    guarded, reference = (Run(folder / f"{scenario}-{size}") for scenario in ("guarded", "never-given"))
    for name in ("loss", "grad_norm", "val_loss"):
        assert guarded.column(name)[1].tolist() == reference.column(name)[1].tolist()
    assert_same_weights(guarded, reference)
    assert [record["step"] for record in guarded.metrics] == [*range(9), *range(4, 12)]
    assert [event["done"] for event in guarded.events] == ["roll back and skip"]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("when", KILLED)
def test_a_run_that_dies_in_or_after_the_rollback_and_is_resumed_is_the_same(folder, when, size):
    killed, guarded = (Run(folder / f"{scenario}-{size}") for scenario in (when, "guarded"))
    one, other = (
        [
            {name: value for name, value in record.items() if name not in BY_THE_CLOCK}
            for record in run.metrics
        ]
        for run in (killed, guarded)
    )
    assert one == other and killed.events == guarded.events
    assert_same_weights(killed, guarded)


def test_two_processes_remember_the_same(folder):
    one, other = (load_file(folder / "memory-2" / f"memory-{rank}.safetensors") for rank in (0, 1))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert (one["h.0.attn.written"] >= 0).any() and (one["h.0.homeostasis.scale"] != 1).all()
    figures = [Run(folder / f"memory-{size}").metrics[-1]["memory"] for size in (1, 2)]
    assert figures[0]["writes"] == figures[1]["writes"] and figures[0]["size"] == figures[1]["size"]


def test_plasticity_on_several_processes_is_refused_in_a_sentence(minimal, monkeypatch, tmp_path):
    monkeypatch.setattr("minigpt.training.trainer.join_world", lambda config: Alone(size=2))
    plastic = minimal.replace(activation="spiking", plasticity="pair")
    with pytest.raises(MiniGPTError, match="this run has 2: train on one"):
        Trainer(Recipe(plastic), tmp_path / "run")


class Alone(World):
    """Says that there are two processes, and hears nothing of the other."""

    def share(self, value):
        return value


def test_in_fp16_all_processes_skip_the_same_steps_and_learn(folder):
    """Which step overflows depends on how the batch is cut, so the loss is not that of one process."""
    one, two = (Run(folder / f"fp16-{size}") for size in (1, 2))
    skipped = [record["skipped"] for record in two.metrics]
    assert any(skipped) and not all(skipped)
    assert two.column("loss")[1][-1] == pytest.approx(one.column("loss")[1][-1], rel=0.05)


def test_every_step_and_checkpoint_is_written_once(folder):
    run = Run(folder / "accumulated-2")
    assert [record["step"] for record in run.metrics] == list(range(12))
    assert [path.name for path in checkpoint.find(run.path / "checkpoints")] == [
        f"step-{step:06d}" for step in (4, 8, 12)
    ]
    assert not [path for path in run.path.rglob("*") if path.name.startswith(".")]


def test_one_process_goes_on_with_a_run_of_two(folder):
    trainer = resume(folder / "plain-2")
    assert trainer.step == 12 and not trainer.skipped_checkpoints
    assert trainer.evaluate() == pytest.approx(Run(folder / "plain-1").column("val_loss")[1][-1], rel=1e-5)
    trainer.writer.close()


def test_a_loop_of_somebody_else_recovers_alike_on_every_process(folder):
    """Also where one process alone met the bad batch: what is judged is the mean of all."""
    run_dir = folder / "anybodys-loop-2"
    one, other = (json.loads((run_dir / f"decisions-{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    assert {45, 46} <= {decision["batch"] for decision in one}
    assert [decision["done"] for decision in one].count("roll back and skip") == 1
    here, there = (load_file(run_dir / f"weights-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_when_the_first_process_fails_the_other_stops_and_says_so(folder):
    ends = [(folder / "failing-2" / f"rank-{rank}.txt").read_text() for rank in (0, 1)]
    assert ends == ["CheckpointError", "PeerError"]


def test_the_command_works_under_torchrun_and_speaks_once(tmp_path):
    config = MINIMAL.replace(steps=6, checkpoint_every=3)
    code, out, err = torchrun("-m", "minigpt", "train", *flags(config), "--run-dir", tmp_path / "run")
    assert code == 0, err
    assert out.count("Run written to") == 1 and err.count("step 6: validation loss") == 1
    assert len(Run(tmp_path / "run").metrics) == 6


def test_a_batch_that_cannot_be_shared_and_a_device_that_is_not_there_are_refused(minimal, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(MiniGPTError, match="batch_size = 4.*3 processes"):
        join_world(minimal)
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(MiniGPTError, match="mps|cuda"):
        join_world(minimal.replace(device="mps" if sys.platform != "darwin" else "cuda"))


def test_alone_nothing_is_exchanged():
    world = World()
    model = object()
    assert world.wrap(model) is model and world.sum(1, 2) == [1, 2] and world.share("x") == "x"
    assert world.any(True) and not world.any(False)
    assert world.on_main(lambda: 3) == 3
    with pytest.raises(MiniGPTError), world.without_sync(model, last=False):
        world.on_main(
            lambda: join_world(MINIMAL.replace(device="mps" if sys.platform != "darwin" else "cuda"))
        )
