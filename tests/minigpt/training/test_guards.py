"""Guards: a run that went back is the run that was never given those batches, even if it was killed."""

import dataclasses
import json
import math
import os
import signal
import sys

import pytest
import torch
from safetensors.torch import load_file
from small_runs import HANGS, MINIMAL, spawn

from minigpt.data.batches import get_batch
from minigpt.model.gpt import build_model
from minigpt.runs import checkpoint
from minigpt.runs.jsonl import last_attempts, read_jsonl
from minigpt.runs.run import Run
from minigpt.training.callbacks.telemetry import BY_THE_CLOCK
from minigpt.training.guards import Decision, GuardError
from minigpt.training.recipe import Recipe
from minigpt.training.step import clip
from minigpt.training.trainer import Trainer, resume

PLAIN = MINIMAL.replace(steps=40, checkpoint_every=7, dropout=0.1)
CONFIG = PLAIN.replace(snapshot_every=5)


class GoBack:
    """At step 30 go back to 20 and skip two batches."""

    name = "go-back"
    moments = ("record",)

    def __init__(self):
        self.losses = []

    def decide(self, record, state):
        self.losses.append(record["loss"])
        if state.step == 30 and not state.attempt:
            return Decision(roll_back_to=20, skip=(20, 21), seen={"loss": record["loss"]})

    def state_dict(self):
        return {"losses": self.losses}

    def load_state_dict(self, state):
        self.losses = state["losses"]


def without_two(tokens, config, step, *place):
    """Batches of which numbers 20 and 21 were never made."""
    return get_batch(tokens, config, step + 2 if step >= 20 else step, *place)


GUARDED = dataclasses.replace(Recipe(CONFIG), guards=(GoBack(),))
SHORT_OF_SNAPSHOTS = dataclasses.replace(GUARDED, config=CONFIG.replace(snapshots=1, keep_checkpoints=0))
NEVER_GIVEN = dataclasses.replace(Recipe(PLAIN), get_batch=without_two)


class Kill:
    """End the run after so many records, as if the process had died."""

    class Killed(Exception):
        pass

    def __init__(self, records, event):
        self.left = records
        setattr(self, event, self.count)

    def count(self, trainer, record):
        self.left -= 1
        if not self.left:
            raise self.Killed


def tensors(run):
    """Weights and moments of the last checkpoint."""
    last = checkpoint.find(run.path / "checkpoints")[-1]
    found = [load_file(last / name) for name in ("weights.safetensors", "training.safetensors")]
    return {name: t for side in found for name, t in side.items() if not name.startswith("snapshot/")}


def assert_same_tensors(one, other):
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def run_of(recipe, folder, *callbacks, telemetry=False, **settings):
    """Train, or with `resume` continue, without the audits, which cost more than these steps."""
    return Trainer(recipe, folder, callbacks, telemetry=telemetry, **settings).run()


def metrics(run):
    return [{name: v for name, v in record.items() if name not in BY_THE_CLOCK} for record in run.metrics]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that went back, and that nobody killed."""
    return run_of(GUARDED, tmp_path_factory.mktemp("guards") / "whole", telemetry=True)


def test_a_rollback_is_the_run_that_was_never_given_those_batches(whole, tmp_path):
    reference = run_of(NEVER_GIVEN, tmp_path / "reference")
    assert_same_tensors(whole, reference)
    assert not torch.equal(
        tensors(whole)["wte.weight"], tensors(run_of(Recipe(PLAIN), tmp_path / "plain"))["wte.weight"]
    )
    for name in ("loss", "grad_norm", "val_loss"):
        assert whole.column(name)[1].tolist() == reference.column(name)[1].tolist()
    assert whole.column("step")[1].tolist() == list(range(40))


class Spoil:
    """Damage a checkpoint just before the rollback."""

    def __init__(self, *steps):
        self.steps = steps

    def on_step(self, trainer, record):
        if record["step"] == 28:
            for step in self.steps:
                file = trainer.run_dir / "checkpoints" / f"step-{step:06d}" / "weights.safetensors"
                file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(("spoilt", "back_to"), [((), 14), ((14,), 7)])
def test_where_no_snapshot_is_old_enough_the_newest_intact_checkpoint_is(whole, tmp_path, spoilt, back_to):
    run = run_of(SHORT_OF_SNAPSHOTS, tmp_path / "run", Spoil(*spoilt))
    assert_same_tensors(run, whole)
    steps = [record["step"] for record in read_jsonl(run.path / "metrics.jsonl")]
    assert steps[29:31] == [29, back_to]


def test_where_no_checkpoint_is_intact_either_the_run_says_so(tmp_path):
    with pytest.raises(GuardError, match="oldest snapshot is of step 25, and no intact checkpoint is older"):
        run_of(SHORT_OF_SNAPSHOTS, tmp_path / "run", Spoil(7, 14))


def test_nothing_logged_is_erased_and_the_decision_is_written_down(whole):
    steps = [record["step"] for record in whole.metrics]
    assert steps == [*range(30), *range(20, 40)]
    assert [record.get("attempt", 0) for record in whole.metrics] == [0] * 30 + [1] * 20
    assert [record.get("data_step", record["step"]) for record in whole.metrics] == [
        *range(30), *range(22, 42),
    ]  # fmt: skip
    (event,) = whole.events
    assert event == {
        "step": 29, "attempt": 0, "guard": "go-back", "seen": {"loss": whole.metrics[29]["loss"]},
        "done": "roll back and skip", "batches": [29], "to": 20, "skip": [20, 21],
    }  # fmt: skip


def test_what_a_guard_has_seen_goes_back_too_and_what_it_has_done_does_not(tmp_path):
    trainer = Trainer(GUARDED, tmp_path / "run", telemetry=False)
    run = trainer.run()
    assert trainer.guards[0].losses == run.column("loss")[1].tolist()
    assert trainer.state.decisions == {"go-back": 1} and trainer.state.data_offset == 2
    assert GUARDED.guards[0].losses == []


@pytest.mark.parametrize("event", ["on_record", "on_step"])
def test_a_run_killed_at_any_moment_is_the_same(whole, tmp_path, event):
    for records in (3, 29, 30, 33, 50):
        folder = tmp_path / str(records)
        with pytest.raises(Kill.Killed):
            run_of(GUARDED, folder, Kill(records, event), telemetry=True)
        run = run_of(GUARDED, folder, resume=True, telemetry=True)
        assert metrics(run) == metrics(whole) and run.events == whole.events and run.probes == whole.probes
        assert_same_tensors(run, whole)
        last = [checkpoint.find(each.path / "checkpoints")[-1] / "state.json" for each in (run, whole)]
        assert last[0].read_bytes() == last[1].read_bytes()


SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_guards import GUARDED, Trainer

class Kill:
    def on_step(self, trainer, record):
        if record["step"] == 24 and record.get("attempt"):
            os.kill(os.getpid(), signal.SIGKILL)

Trainer(GUARDED, sys.argv[1], [Kill()]).run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_run_that_gets_a_sigkill_after_the_rollback_is_the_same(whole, tmp_path):
    paths = [os.path.dirname(os.path.dirname(__file__)), *sys.path]
    alike = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # bit for bit holds on one number of threads
    alike["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    process = spawn("-c", SCRIPT, tmp_path / "run", env=alike)
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == -signal.SIGKILL, errors
    run = run_of(GUARDED, tmp_path / "run", resume=True, telemetry=True)
    assert metrics(run) == metrics(whole) and run.events == whole.events
    assert_same_tensors(run, whole)


def decide_at(step, decision, name="test", moments=("record",)):
    """A guard that decides once."""

    def decide(self, record, state):
        return decision if record["step"] == step and not state.decisions.get(name) else None

    return type("Once", (), {"name": name, "moments": moments, "decide": decide})()


def guarded(*guards, **settings):
    return dataclasses.replace(Recipe(CONFIG.replace(**settings)), guards=guards)


@pytest.mark.parametrize("settings", [{}, {"precision": "fp16", "loss_scale": 1024.0}])
def test_a_dropped_step_is_tried_again_with_the_next_batch(tmp_path, settings):
    settings = {"steps": 12} | settings
    guard = decide_at(5, Decision(drop=True, seen={"why": "test"}), moments=("gradients",))
    run = run_of(guarded(guard, **settings), tmp_path / "run")

    def without_one(tokens, config, step, *place):
        return get_batch(tokens, config, step + 1 if step >= 5 else step, *place)

    reference = dataclasses.replace(Recipe(PLAIN.replace(**settings)), get_batch=without_one)
    reference = run_of(reference, tmp_path / "reference")
    weights, others = tensors(run), tensors(reference)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert [record["step"] for record in run.metrics] == [*range(6), *range(5, 12)]
    assert run.metrics[5]["dropped"] and run.metrics[6]["attempt"] == 1
    assert [event["done"] for event in run.events] == ["drop the step"]


def test_a_guard_saves_a_run_from_a_batch_that_gives_no_number(tmp_path):
    def spoilt(tokens, config, step, *place):
        batch = get_batch(tokens, config, step, *place)
        return batch._replace(mask=batch.mask.double() * math.nan) if step == 6 else batch

    def loss(logits, targets, mask):
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * mask.flatten()).mean()

    class NonFinite:
        name, moments = "non-finite", ("gradients",)

        def decide(self, record, state):
            return Decision(drop=not math.isfinite(record["loss"]), seen={"loss": record["loss"]})

    recipe = dataclasses.replace(Recipe(MINIMAL), get_batch=spoilt, loss=loss, guards=(NonFinite(),))
    recipe = dataclasses.replace(recipe, accumulate=plain)
    run = run_of(recipe, tmp_path / "run")
    assert run.column("loss")[1].tolist() and all(map(math.isfinite, run.column("loss")[1]))
    assert [event["seen"] for event in run.events] == [{"loss": pytest.approx(math.nan, nan_ok=True)}]


def plain(model, loss, batches, precision, world):
    value = loss(model(batches[0].inputs), batches[0].targets, batches[0].mask)
    value.backward()
    return value.item()


def test_the_rate_is_scaled_from_the_next_step_on_and_stays_so_over_a_rollback(tmp_path):
    lower = decide_at(9, Decision(scale_rate=0.5))
    back = decide_at(14, Decision(roll_back_to=6), name="back")
    run = run_of(guarded(lower, back, steps=20, schedule="constant", warmup_steps=0), tmp_path / "run")
    rates = [record["lr"]["decay"] for record in run.metrics]
    assert rates == [CONFIG.lr_max] * 10 + [CONFIG.lr_max / 2] * 20
    assert [record["step"] for record in run.metrics] == [
        *range(15),
        *range(5, 20),
    ]  # a snapshot is of step 5


class CountingClip:
    """A clipper with a memory: it lets through what is usual."""

    def __init__(self):
        self.norms = []

    def __call__(self, model, optimizer, precision, max_norm):
        self.norms.append(clip(model, optimizer, precision, max_norm))
        return self.norms[-1]

    def state_dict(self):
        return {"norms": self.norms}

    def load_state_dict(self, state):
        self.norms = state["norms"]


def test_a_clipper_with_a_memory_is_saved_rolled_back_and_resumed(tmp_path):
    recipe = dataclasses.replace(GUARDED, clip=CountingClip())
    with pytest.raises(Kill.Killed):
        run_of(recipe, tmp_path / "run", Kill(36, "on_step"))
    trainer = Trainer(recipe, tmp_path / "run", resume=True, telemetry=False)
    run = trainer.run()
    assert trainer.clip.norms == run.column("grad_norm")[1].tolist()


class Diary(torch.nn.Module):
    """A feed-forward that remembers the mean of what it read, from step to step."""

    def __init__(self, mlp):
        super().__init__()
        self.mlp, self.pages = mlp, torch.zeros(0)

    def forward(self, x):
        if self.training:
            self.pages = torch.cat([self.pages, x.detach().mean()[None]])
        return self.mlp(x) + self.pages.mean() if len(self.pages) else self.mlp(x)

    def memory_state(self):
        return {"pages": self.pages}

    def load_memory_state(self, state):
        self.pages = state["pages"]


def with_diary(config):
    model = build_model(config)
    model.h[0].mlp = Diary(model.h[0].mlp)
    return model


def test_memory_goes_back_and_comes_through_a_kill_like_everything_else(tmp_path):
    recipe = dataclasses.replace(GUARDED, build_model=with_diary)
    whole = run_of(recipe, tmp_path / "whole")
    with pytest.raises(Kill.Killed):
        run_of(recipe, tmp_path / "run", Kill(36, "on_step"))
    run = run_of(recipe, tmp_path / "run", resume=True)
    assert_same_tensors(run, whole)
    assert_same_tensors(
        whole, run_of(dataclasses.replace(NEVER_GIVEN, build_model=with_diary), tmp_path / "r")
    )
    assert tensors(whole)["memory/h.0.mlp.pages"].shape == (40,)


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        (
            (decide_at(9, Decision(roll_back_to=5), "a"), decide_at(9, Decision(roll_back_to=0), "b")),
            "a and b",
        ),
        (
            (decide_at(9, Decision(scale_rate=0.5), "a"), decide_at(9, Decision(scale_rate=2.0), "b")),
            "a and b",
        ),
        (
            (
                decide_at(9, Decision(drop=True), "a", ("gradients",)),
                decide_at(9, Decision(roll_back_to=5), "b", ("gradients",)),
            ),
            "drop the step; roll back",
        ),
        ((decide_at(9, Decision(drop=True)),), "already done"),
        ((decide_at(9, Decision(drop=True, roll_back_to=5), moments=("gradients",)),), "one of the two"),
        ((decide_at(9, Decision(scale_rate=math.nan)),), "nan"),
        ((decide_at(9, Decision(skip=(12,))),), "skip batches"),
        ((decide_at(9, Decision(roll_back_to=11)),), "step 11"),
        ((decide_at(39, Decision(roll_back_to=3)),), "oldest snapshot is of step 25"),
    ],
)
def test_guards_that_contradict_each_other_or_ask_the_impossible_are_refused(guards, said, tmp_path):
    with pytest.raises(GuardError, match=said):
        run_of(guarded(*guards), tmp_path / "run")
    assert Run(tmp_path / "run").events == []


def test_two_guards_of_one_name_are_refused_before_the_run():
    with pytest.raises(GuardError, match="called go-back"):
        guarded(GoBack(), GoBack())


def test_guards_that_never_let_the_run_get_on_are_stopped(tmp_path):
    class Never:
        name, moments = "never", ("record",)

        def decide(self, record, state):
            return Decision(roll_back_to=5) if state.step == 6 else None

    with pytest.raises(GuardError, match="did not get past step 6"):
        run_of(guarded(Never()), tmp_path / "run")


def test_a_guard_that_acts_has_a_part_of_its_own_which_no_folder_can_tell(whole):
    with pytest.raises(Exception, match="guards"):
        resume(whole.path)


def test_readers_take_the_last_attempt_whatever_the_order_of_the_lines():
    lines = [{"step": s} for s in range(6)] + [{"step": s, "attempt": 1} for s in (3, 4)]
    lines += [{"step": 2, "attempt": 2}, {"step": 3, "attempt": 2}]
    wanted = [(0, 0), (1, 0), (2, 2), (3, 2)]
    for order in (lines, lines[::-1]):
        kept = last_attempts(order)
        assert [(record["step"], record.get("attempt", 0)) for record in kept] == wanted
    odd = [{"note": 1}, {"step": None, "attempt": "x"}, {"step": 0}, {"step": 0, "attempt": 1}]
    assert last_attempts(odd) == [odd[3], odd[0], odd[1]]


def test_an_events_file_torn_at_its_end_is_read(whole, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"config": None}))
    (tmp_path / "events.jsonl").write_text((whole.path / "events.jsonl").read_text() + '{"step": 31, "gu')
    assert Run(tmp_path).events == whole.events
