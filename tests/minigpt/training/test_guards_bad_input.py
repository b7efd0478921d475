"""What goes wrong around the guards is said in one sentence, in both languages, and nothing is lost."""

import dataclasses
import errno
import json
import os
import shutil

import pytest
import torch
from small_runs import MINIMAL, flags
from test_guards import GUARDED, PLAIN, Kill, assert_same_tensors, decide_at, guarded, metrics, run_of

from minigpt.dashboard import from_run
from minigpt.dashboard.attempts import with_attempts
from minigpt.dashboard.panels import panels
from minigpt.diagnosis import check
from minigpt.messages import LANGUAGES, message, use_language
from minigpt.runs import checkpoint, writer
from minigpt.runs.jsonl import RunError
from minigpt.runs.run import Run
from minigpt.training import precision
from minigpt.training.guards import Decision, GuardError
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.fixture(params=LANGUAGES)
def language(request):
    """The language in force."""
    use_language(request.param)
    yield request.param
    use_language(None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that went back at step 30 to step 20, and that nobody disturbed."""
    return run_of(GUARDED, tmp_path_factory.mktemp("bad-input") / "whole")


def in_order(one, other):
    """Whether two runs have the same steps, decisions and final tensors."""
    assert metrics(one) == metrics(other) and one.events == other.events
    assert_same_tensors(one, other)


def test_a_log_whose_attempts_are_out_of_order_is_judged_and_drawn_like_any_other(whole, tmp_path):
    run = shutil.copytree(whole.path, tmp_path / "run")
    for name in ("metrics.jsonl", "probes.jsonl"):
        lines = (run / name).read_text(encoding="utf-8").splitlines()
        later = [line for line in lines if json.loads(line).get("attempt")]
        earlier = [line for line in lines if line not in later]
        (run / name).write_text("\n".join([*later, *earlier]) + "\n", encoding="utf-8")
    assert Run(run).metrics != whole.metrics
    for name in ("loss", "grad_norm", "lr.decay"):
        assert Run(run).column(name)[1].tolist() == whole.column(name)[1].tolist()
    assert check(run, whole=True) == check(whole.path, whole=True)
    shuffled, drawn = (
        with_attempts(panels([from_run(path)]), [from_run(path)]) for path in (run, whole.path)
    )
    assert shuffled == drawn


@pytest.mark.parametrize("tail", ['{"step": 31, "gu', '{"step": 31', "{", '"'])
def test_an_events_file_torn_at_its_end_is_judged_without_it(whole, tmp_path, tail):
    run = shutil.copytree(whole.path, tmp_path / "run")
    with (run / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(tail)
    assert check(run, whole=True) == check(whole.path, whole=True)
    assert from_run(run).events == whole.events


def test_an_events_file_that_is_damaged_elsewhere_is_named(whole, tmp_path, language):
    run = shutil.copytree(whole.path, tmp_path / "run")
    events = run / "events.jsonl"
    events.write_text('{"step": 31, "gu\n' + events.read_text(encoding="utf-8"), encoding="utf-8")
    for read in (check, from_run):
        with pytest.raises(RunError) as refused:
            read(run)
        assert "events.jsonl" in str(refused.value) and "1" in str(refused.value)


def test_a_guard_that_rolls_back_for_ever(tmp_path, language):
    class Never:
        name, moments = "never", ("record",)

        def decide(self, record, state):
            return Decision(roll_back_to=5) if state.step == 6 else None

    with pytest.raises(GuardError) as refused:
        run_of(guarded(Never()), tmp_path / "run")
    assert "100" in str(refused.value) and "events.jsonl" in str(refused.value)
    assert len(Run(tmp_path / "run").events) > 100  # all that it did can be read


def test_the_shipped_guard_gives_up_with_its_sentence_and_a_post_mortem(tmp_path, language):
    """Every batch from some step on is bad: one incident follows the other, and none is healed."""
    config = PLAIN.replace(steps=200, eval_every=0, checkpoint_every=0, guard_spikes=True, guard_finite=True)
    plain = Recipe(config)

    def bad(tokens, config, data_step, *place):
        batch = plain.get_batch(tokens, config, data_step, *place)
        return batch if data_step < 60 else batch._replace(targets=511 - batch.targets)

    with pytest.raises(GuardError) as refused:
        train(dataclasses.replace(plain, get_batch=bad), tmp_path / "run")
    assert "3" in str(refused.value) and "events.jsonl" in str(refused.value)
    told = json.loads((tmp_path / "run" / "post-mortem.json").read_text(encoding="utf-8"))
    assert told and all(incident["lr"] for incident in told)
    page = (tmp_path / "run" / "post-mortem.md").read_text(encoding="utf-8")
    for rates in (incident["lr"] for incident in told):
        assert ", ".join(f"`{group}` {rate:.3g}" for group, rate in rates.items()) in page


def full_disk_for(name, monkeypatch):
    """Let the disk be full for one file of a run."""
    real = writer.write_atomically

    def write(path, text):
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, text)

    monkeypatch.setattr(writer, "write_atomically", write)


def test_a_disk_that_fills_up_before_the_post_mortem(tmp_path, language, monkeypatch):
    full_disk_for("post-mortem.json", monkeypatch)
    with pytest.raises(RunError) as refused:
        run_of(GUARDED, tmp_path / "run")
    assert message("system.no-space", language) in str(refused.value)
    assert "post-mortem.json" in str(refused.value)
    last = checkpoint.find(tmp_path / "run" / "checkpoints")[-1]
    assert last.name == "step-000040"  # the run itself is whole
    stuck = decide_at(9, Decision(note=True), "noting"), decide_at(30, Decision(roll_back_to=50), "stuck")
    with pytest.raises(GuardError):  # what ended a run is not hidden
        run_of(guarded(*stuck), tmp_path / "stuck")


def test_a_run_begun_without_guards_goes_back_to_its_checkpoint(tmp_path):
    plain = Recipe(PLAIN)
    with pytest.raises(Kill.Killed):
        run_of(plain, tmp_path / "run", Kill(18, "on_step"))
    late = dataclasses.replace(plain, guards=(decide_at(15, Decision(roll_back_to=8)),))
    gone_back = run_of(late, tmp_path / "run", resume=True)
    assert_same_tensors(gone_back, run_of(plain, tmp_path / "undisturbed"))
    assert [event["to"] for event in gone_back.events] == [8]


def test_no_snapshot_yet(tmp_path, language):
    """A run that was begun without guards is resumed with one, between two snapshots."""
    plain = Recipe(PLAIN)
    with pytest.raises(Kill.Killed):
        run_of(plain, tmp_path / "run", Kill(12, "on_step"))
    late = dataclasses.replace(plain, guards=(decide_at(8, Decision(roll_back_to=6)),))
    with pytest.raises(GuardError) as refused:
        run_of(late, tmp_path / "run", resume=True)
    assert f"snapshot_every = {PLAIN.snapshot_every}" in str(refused.value)
    resumed = run_of(plain, tmp_path / "run", resume=True)
    in_order(resumed, run_of(plain, tmp_path / "undisturbed"))


@pytest.mark.parametrize("records", [33, 41])  # before the first checkpoint after the rollback, and after it
def test_a_checkpoint_that_fails_its_hash_in_the_middle_of_a_recovery(whole, tmp_path, language, records):
    with pytest.raises(Kill.Killed):
        run_of(GUARDED, tmp_path / "run", Kill(records, "on_step"))
    folder = tmp_path / "run" / "checkpoints"
    newest = checkpoint.find(folder)[-1] / "training.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    told = str(checkpoint.latest(folder)[1][0])
    assert newest.parent.name in told and ("damaged" in told or "dañado" in told)
    in_order(run_of(GUARDED, tmp_path / "run", resume=True), whole)


def test_a_disk_that_fills_up_during_a_snapshot(whole, tmp_path, language, monkeypatch):
    """Snapshots lie in memory, and reach the disk with a checkpoint: here with the one after the rollback."""
    real = checkpoint._sync

    def full(path):
        if "step-000028" in str(path) and tried:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        tried.extend([path] * ("step-000028" in str(path) and path.is_dir()))
        real(path)

    tried = []
    monkeypatch.setattr(checkpoint, "_sync", full)
    with pytest.raises(checkpoint.CheckpointError) as refused:
        run_of(GUARDED, tmp_path / "run")
    monkeypatch.undo()
    assert message("system.no-space", language) in str(refused.value)
    assert "step-000028" in str(refused.value)
    in_order(run_of(GUARDED, tmp_path / "run", resume=True), whole)


@pytest.mark.parametrize("broken", ["raises", "ignores"])
def test_fp16_on_a_processor_that_cannot(tmp_path, command, monkeypatch, language, broken):
    class Cannot:
        def __init__(self, *_):
            pass

        def __enter__(self):
            if broken == "raises":
                raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'\nand more lines")

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(precision.torch, "autocast", Cannot)
    asked = ("--precision", "fp16", "--run-dir", tmp_path / "run", "--lang", language)
    sentence = command("train", *flags(MINIMAL), *asked).sentence
    assert "fp16" in sentence and "bf16" in sentence and ("Half" in sentence or "float32" in sentence)
    assert not (tmp_path / "run").exists()


def test_a_window_longer_than_the_run(command, tmp_path, language):
    asked = ("--guard-spikes", "true", "--steps", 20, "--run-dir", tmp_path / "run", "--lang", language)
    sentence = command("train", *asked).sentence
    assert "32" in sentence and "20" in sentence and "spike_window" in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"guard_spikes": True, "spike_window": 61}, "spike_window = 61"),
        ({"guard_rate": True, "steps": 20}, "guard_rate"),
        ({"guard_rate": True, "rate_jump": 1.0}, "rate_jump = 1.0"),
        ({"clipper": "per_tensor"}, "clipper = per_tensor"),
        ({"clipper": "zscore", "steps": 25}, "clipper = zscore"),
        ({"guard_spikes": True, "snapshots": 1}, "snapshots"),
        ({"guard_spikes": True, "snapshot_every": 4}, "snapshot_every"),
        ({"guard_finite": True, "guard_rate": True, "snapshot_every": 5}, "snapshot_every = 5"),
    ],
)
def test_guards_that_could_do_nothing_in_this_run_are_refused(command, tmp_path, language, asked, named):
    """Or it would be told in the middle of it, once the weights are damaged; or never."""
    more = [
        f"--{name.replace('_', '-')}={str(value).lower()}" for name, value in ({"steps": 60} | asked).items()
    ]
    argv = (*flags(MINIMAL), *more, "--run-dir", tmp_path / "run", "--lang", language)
    assert named in command("train", *argv).sentence
    assert not (tmp_path / "run").exists()


def test_guards_at_their_limits_are_allowed():
    run = {"steps": 60, "guard_spikes": True}
    for allowed in (
        {"spike_window": 60},
        {"snapshots": 2, "snapshot_every": 10},
        {"snapshots": 1, "rollbacks": 0},
    ):
        Recipe(MINIMAL.replace(**run, **allowed)).refuse_idle()
    Recipe(MINIMAL.replace(steps=21, guard_rate=True)).refuse_idle()


def test_a_spike_in_the_first_20_steps(command, tmp_path, language):
    """It is told, and undoes nothing: too little is known to judge it."""
    config = MINIMAL.replace(steps=60, eval_every=0, guard_spikes=True, lr_max=0.1, lr_min=0.1)
    recipe = Recipe(config.replace(schedule="constant", warmup_steps=0))

    def burst(step, config):
        return 30.0 if step == 12 else 1e-3

    run = train(dataclasses.replace(recipe, lr_at=burst), tmp_path / "run")
    assert run.events and run.events[0]["step"] < 20
    first = [event for event in run.events if event["step"] < 20]
    assert all(event["done"] == "continue" for event in first)
    assert [record["step"] for record in run.metrics][:20] == list(range(20))
    told = (run.path / "post-mortem.md").read_text(encoding="utf-8")
    assert {"en": "only noted", "es": "solo"}[language] in told
    assert torch.isfinite(torch.tensor(run.column("loss")[1])).all()
