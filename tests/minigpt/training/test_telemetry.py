"""Derived metrics: spikes, recoveries, the time left, and that watching changes nothing."""

import contextlib
import json
import math

import numpy as np
import pytest
import torch

from minigpt.config import Config
from minigpt.runs.run import Run, strict
from minigpt.training.callbacks.telemetry import BY_THE_CLOCK, Curve, SpikeDetector, Telemetry
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, Trainer, resume

TINY = Config(
    n_layer=1, n_head=2, n_embd=32, context=32, batch_size=4, steps=30, warmup_steps=5, eval_every=10,
    eval_batches=1, checkpoint_every=20, dropout=0.1, device="cpu",
)  # fmt: skip


def observed(detector, values):
    return [detector.observe(value) for value in values]


def test_a_spike_is_told_once_and_its_recovery_with_its_length():
    detector = SpikeDetector(factor=5)
    assert observed(detector, [2.0] * 30) == [(None, None)] * 30
    assert detector.observe(11.0) == (5.5, None)
    assert observed(detector, [30.0, 8.0, 3.1]) == [(None, None)] * 3
    assert detector.observe(2.9) == (None, 4)
    assert detector.observe(9.9) == (None, None)  # the spike did not raise the running mean above 5 × 2.0…
    assert detector.observe(12.0)[0] is not None  # …by much


def test_five_times_the_mean_is_no_spike_yet():
    detector = SpikeDetector(factor=5)
    observed(detector, [2.0] * 30)
    assert detector.observe(10.0) == (None, None)


def test_too_few_steps_have_no_running_mean():
    detector = SpikeDetector(factor=5)
    assert observed(detector, [0.01] * 19 + [100.0]) == [(None, None)] * 20


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_a_spike_at_any_time(value):
    detector = SpikeDetector(factor=5)
    assert detector.observe(value) == (math.inf, None)
    assert detector.observe(value) == (None, None)
    assert detector.observe(1.0) == (None, 2)


def test_a_lasting_spike_is_a_new_level():
    detector = SpikeDetector(factor=3, window=40)
    observed(detector, [1.0] * 40)
    assert detector.observe(50.0)[0] == 50
    assert observed(detector, [50.0] * 200) == [(None, None)] * 200
    assert detector.observe(200.0)[0] == 4


def test_steps_to_a_target_follow_a_curve_that_falls_with_the_logarithm():
    rng = np.random.default_rng(0)
    curve = Curve(size=128)
    for step in range(5000):
        curve.add(step, 8 - 0.5 * math.log(step + 1) + rng.normal(0, 0.05))
    assert len(curve.steps) < 128
    wanted = 8 - 0.5 * math.log(15_000)
    assert curve.steps_to(wanted) == pytest.approx(10_000, rel=0.15)
    assert curve.steps_to(5.0) == 0
    assert curve.steps_to(0.0) is None  # e^16 steps away: a guess


@pytest.mark.parametrize("slope", [0.0, 0.2], ids=["flat", "rising"])
def test_steps_to_a_target_are_unknown_when_the_loss_does_not_fall(slope):
    rng = np.random.default_rng(0)
    curve = Curve()
    for step in range(2000):
        curve.add(step, 3 + slope * math.log(step + 1) + rng.normal(0, 0.05))
    assert curve.steps_to(1.0) is None


def test_a_short_curve_and_one_of_nothing_but_nan_are_unknown():
    curve = Curve()
    for step in range(100):
        curve.add(step, math.nan)
    assert curve.steps == [] and curve.steps_to(1.0) is None
    for step in range(10):
        curve.add(step, 5.0 - step)
    assert curve.steps_to(1.0) is None


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run with telemetry that audits often, and without any."""
    folder = tmp_path_factory.mktemp("runs")
    with_it = Trainer(Recipe(TINY), folder / "with", telemetry=False, callbacks=[Telemetry(audit_every=7)])
    watched = with_it.run()
    without_it = Trainer(Recipe(TINY), folder / "without", telemetry=False)
    return watched, without_it.run(), with_it, without_it


def test_telemetry_does_not_change_the_run(runs):
    watched, plain, with_it, without_it = runs
    for name in ("loss", "grad_norm", "val_loss", "lr.decay"):
        for a, b in zip(watched.column(name), plain.column(name), strict=True):
            assert a.tolist() == b.tolist()
    for a, b in zip(with_it.model.parameters(), without_it.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_summaries_are_written_at_evaluations_alone(runs):
    watched, plain, *_ = runs
    for name in (
        "loss_variance",
        "grad_norm_p90",
        "tokens_per_second",
        "eta_seconds",
        "loss_spikes",
        "target_loss",
    ):
        assert watched.column(name)[0].tolist() == [9, 19, 29]
        assert name not in plain.columns
    loss, norms = watched.column("loss")[1], watched.column("grad_norm")[1]
    assert watched.column("loss_variance")[1][-1] == pytest.approx(loss.var())
    assert watched.column("grad_norm_p90")[1][1] == pytest.approx(np.percentile(norms[:20], 90))
    assert watched.column("eta_seconds")[1][-1] == 0
    assert "loss_spike" not in watched.columns


def test_audits_come_at_set_steps(runs):
    by_kind = {}
    for probe in runs[0].probes:
        by_kind.setdefault(probe["kind"], []).append(probe["step"])
    assert by_kind["baselines"] == [0]
    assert by_kind["moments"] == [6, 13, 20, 27, 29]
    for kind in ("weights", "activations", "verb-classes"):
        assert by_kind[kind] == [0, 6, 13, 20, 27, 29]


def test_a_resumed_run_logs_what_the_uninterrupted_one_does(runs, tmp_path):
    class Stop:
        def on_step(self, trainer, record):
            if record["step"] == 24:
                raise KeyboardInterrupt

    def without_clock(records):
        return [{k: v for k, v in record.items() if k not in BY_THE_CLOCK} for record in records]

    stopped = Trainer(
        Recipe(TINY), tmp_path / "run", telemetry=False, callbacks=[Telemetry(audit_every=7), Stop()]
    )
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    trainer = resume(tmp_path / "run")
    assert trainer.step in (20, 25)
    trainer.callbacks = [Telemetry(audit_every=7)]
    trainer.run()
    again = Run(tmp_path / "run")
    assert without_clock(again.metrics) == without_clock(runs[0].metrics)
    assert again.probes == runs[0].probes


def test_spikes_are_written_where_they_happen_and_counted():
    telemetry = Telemetry()
    written = [
        telemetry.observe({"step": step, "loss": loss, "grad_norm": norm})
        for step, (loss, norm) in enumerate([(2.0, 1.0)] * 30 + [(20.0, 3.5), (2.0, 1.0), (2.0, math.nan)])
    ]
    assert written[:30] == [{}] * 30
    assert written[30] == {"loss_spike": 10.0, "grad_spike": 3.5}
    assert written[31] == {"loss_recovered": 1}
    assert written[32] == {"grad_spike": math.inf}
    assert telemetry.counts == {"loss_spikes": 1, "grad_spikes": 2, "recoveries": 1}


def test_an_overflow_that_the_scaler_skipped_is_no_gradient_spike():
    telemetry = Telemetry()
    record = {"step": 0, "loss": 2.0, "grad_norm": math.inf, "skipped": True}
    assert telemetry.observe(record) == {} and telemetry.counts["grad_spikes"] == 0


def test_the_last_record_of_a_run_that_died_tells_of_the_spike(tmp_path):
    recipe = Recipe(TINY.replace(lr_max=1e6, lr_min=1e6, warmup_steps=0, clip_norm=1e9, schedule="constant"))
    trainer = Trainer(recipe, tmp_path / "run")
    with contextlib.suppress(NotFiniteError):
        trainer.run()
    run = Run(tmp_path / "run")
    assert "loss_spike" in run.columns or "grad_spike" in run.columns


def test_a_summary_leaves_out_what_is_not_finite(tmp_path):
    class Poison:
        def on_record(self, trainer, record):
            if record["step"] in (3, 4):
                record |= {"loss": math.nan, "grad_norm": math.inf}

    run = Trainer(Recipe(TINY), tmp_path / "run", [Poison(), Telemetry()], telemetry=False).run()
    loss = run.column("loss")[1]
    assert run.column("loss_variance")[1][-1] == pytest.approx(np.var(loss[np.isfinite(loss)]))
    assert np.isfinite(run.column("grad_norm_p90")[1]).all()
    assert [side.tolist() for side in run.column("loss_recovered")] == [[5], [2]]
    assert run.column("loss_spikes")[1][-1] == 1


def test_a_resumed_telemetry_knows_which_try_of_a_step_the_scaler_skipped(tmp_path):
    """A step that a guard undid stands in the log again, and may overflow at its next try."""
    calm = [{"step": step, "loss": 3.0, "grad_norm": 1.0, "skipped": False} for step in range(30)]
    tries = [
        {"step": 30, "loss": 40.0, "grad_norm": 90.0, "dropped": True},
        {"step": 30, "loss": 3.0, "grad_norm": math.inf, "attempt": 1, "skipped": True},
        {"step": 31, "loss": 3.0, "grad_norm": 1.0, "attempt": 1, "skipped": False},
    ]
    lines = [json.dumps(strict(record)) for record in (*calm, *tries)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "manifest.json").write_text('{"config": null}', encoding="utf-8")
    live, resumed = Telemetry(), Telemetry()
    for record in (*calm, *tries):
        live.observe(record)
    resumed._replay(tmp_path)
    assert resumed.counts == live.counts == {"loss_spikes": 1, "grad_spikes": 1, "recoveries": 1}
    assert vars(resumed.gradient_spikes) == vars(live.gradient_spikes) and resumed.norms == live.norms
