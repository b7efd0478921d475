"""A run that dies in the middle of a rollback, a snapshot or a skip is resumed as if nothing had been.

`benchmarks/resume.py --guards` does the same with SIGKILL, at random.
"""

import dataclasses

import pytest
import torch
from small_runs import MINIMAL
from test_guards import assert_same_tensors, metrics, run_of

from minigpt.data.batches import get_batch
from minigpt.runs import checkpoint
from minigpt.runs.writer import RunWriter
from minigpt.training import snapshots
from minigpt.training.guards.enforcer import Enforcer
from minigpt.training.recipe import Recipe
from minigpt.training.snapshots import Snapshot
from minigpt.training.state import TrainerState

CONFIG = MINIMAL.replace(
    steps=60, eval_every=0, checkpoint_every=4, snapshot_every=4, snapshots=5, guard_spikes=True, dropout=0.1,
    lr_max=3e-3, lr_min=1e-3,
)  # fmt: skip
BAD, DAMAGE = (37, 38), 46  # data steps


class Died(Exception):
    """Stands for SIGKILL: nothing of the run goes on."""


def troubled():
    """A recipe with two bad batches, and one whose update damages the weights."""
    plain, now = Recipe(CONFIG), [0]

    def batch_at(tokens, config, step, *place):
        now[0] = step
        batch = get_batch(tokens, config, step, *place)
        return batch._replace(targets=torch.full_like(batch.targets, 1)) if step in BAD else batch

    def step(optimizer, *rest):
        plain.step(optimizer, *rest)
        if now[0] == DAMAGE:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.data.mul_(-8.0)

    return dataclasses.replace(plain, get_batch=batch_at, step=step)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody disturbed."""
    return run_of(troubled(), tmp_path_factory.mktemp("killed") / "whole")


def test_the_run_skips_and_rolls_back(whole):
    done = [event["done"] for event in whole.events]
    assert done.count("drop the step") > len(BAD) and done.count("roll back and skip") == 1


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (snapshots, "load_moments", 1),  # half of a rollback: weights are back, moments are not
        (Snapshot, "restore", 1),
        (snapshots, "moments_of", 7),  # half of a snapshot
        (Snapshot, "take", 15),
        (RunWriter, "event", 2),  # a skip that is written down
        (Enforcer, "forget_step", 2),
        (TrainerState, "try_again", 1),
    ],
)
def test_a_run_that_dies_there_is_the_same(whole, tmp_path, monkeypatch, owner, name, call):
    original, calls = getattr(owner, name), []

    def deadly(*arguments, **named):
        result = original(*arguments, **named)
        calls.append(name)
        if len(calls) == call:
            raise Died
        return result

    monkeypatch.setattr(owner, name, deadly)
    with pytest.raises(Died):
        run_of(troubled(), tmp_path / "run")
    monkeypatch.undo()
    run = run_of(troubled(), tmp_path / "run", resume=True)
    assert metrics(run) == metrics(whole) and run.events == whole.events
    assert_same_tensors(run, whole)
    last = [checkpoint.find(each.path / "checkpoints")[-1] / "hashes.json" for each in (run, whole)]
    assert last[0].read_bytes() == last[1].read_bytes()  # snapshots included


def test_the_figures_of_a_memory_come_when_they_come_in_the_undisturbed_run(tmp_path):
    """They are logged when a memory was written, and a resumed run has written already."""
    recipe = Recipe(MINIMAL.replace(mixer="memory", short_term_size=8, consolidation_interval=3, steps=15))
    undisturbed = run_of(recipe, tmp_path / "undisturbed", telemetry=True)

    class Dies:
        def on_step(self, trainer, record):
            if record["step"] == 8:
                raise Died

    with pytest.raises(Died):
        run_of(recipe, tmp_path / "run", Dies(), telemetry=True)
    assert metrics(run_of(recipe, tmp_path / "run", resume=True, telemetry=True)) == metrics(undisturbed)
    assert 3 < sum("memory" in record for record in undisturbed.metrics) < 15
