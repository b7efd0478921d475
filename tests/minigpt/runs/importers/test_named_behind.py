"""Logs that name their numbers in ways of their own, and curves that mean something by their form."""

import numpy as np
import pytest

from minigpt.diagnosis import TREES, walk
from minigpt.diagnosis.trees.leaps import fresh_start
from minigpt.runs.importers import external_evidence

RNG = np.random.default_rng


def falling(count=80, start=7.0, end=3.2, noise=0.02, seed=0):
    """Return losses that fall, with some noise."""
    return end + (start - end) * np.exp(-np.arange(count) / count * 5) + RNG(seed).normal(0, noise, count)


def behind(step, loss):
    return f"{step:5d} 4.36 s run, {loss:.4f} loss, 0.000400 LR, 145.5 GB used, 40025.3 GFLOPS"


def barred(step, loss):
    ran = f"Step {step:6d}: Ran 10 train steps in 28.1 secs"
    return f"\n{ran}\nStep {step:6d}: train CrossEntropyLoss | {loss:12.8f}"


def bracketed(step, loss):
    return f"[{step} | {4.3 * step:.2f}] loss={loss:.4f} avg={loss + 0.1:.4f}"


def framed(step, loss):
    return f"┌ Info: train\n│   step = {step}\n│   epoch = 1\n│   loss = {loss:.6f}f0\n└   η = 3.0f-4"


def per_token(step, loss):
    return f"step {step} loss {loss * 131072:.1f} cross_ent_loss_per_all_target_tokens {loss:.4f}"


@pytest.mark.parametrize("form", [behind, barred, bracketed, framed, per_token])
def test_each_form_is_read_with_its_steps(form, tmp_path):
    losses = falling()
    (tmp_path / "run.log").write_text("\n".join(form(10 * n, loss) for n, loss in enumerate(losses)) + "\n")
    steps, found = external_evidence(tmp_path / "run.log").metrics.column("loss")
    assert steps.tolist() == list(range(0, 800, 10))
    assert np.allclose(found, losses, atol=1e-3)


def test_one_metric_of_mlflow_is_a_log(tmp_path):
    losses = falling()
    lines = [f"{1_689_012_358_330 + 9000 * n} {loss} {20 * n}\n" for n, loss in enumerate(losses)]
    (tmp_path / "val_loss").write_text("".join(lines))
    steps, found = external_evidence(tmp_path / "val_loss").metrics.column("val_loss")
    assert found.tolist() == losses.tolist() and steps[-1] == 20 * 79


@pytest.fixture
def judged(tmp_path):
    """`judged(losses, lr=[...], every=10)` is what `check` says of a log with these columns."""

    def judge(losses, every=10, **columns):
        names = ["step", "loss", *columns]
        rows = zip(range(0, every * len(losses), every), losses, *columns.values(), strict=True)
        (tmp_path / "run.csv").write_text(
            "\n".join([",".join(names), *(",".join(map(str, r)) for r in rows)])
        )
        return walk(external_evidence(tmp_path / "run.csv"), TREES)

    return judge


def stairs(heights, every):
    levels = np.repeat(np.exp(-np.cumsum(heights)), every)
    return 3.0 * levels * np.exp(RNG(1).normal(0, 0.04, len(levels)))


def test_a_curve_of_stairs_is_learnt_by_heart(judged):
    found = judged(stairs([0.0, 0.25, 0.6, 0.7], 40))
    assert (found.verdict, found.findings[-1].question) == ("unknown", "4.2")
    assert found.findings[-1].values["kind"] == "stairs"
    assert abs(found.findings[-1].values["period"] - 400) <= 40
    assert judged(falling(160, noise=0.1)).verdict == "pass"


def test_beside_a_validation_loss_stairs_are_judged_by_it(judged):
    losses = stairs([0.0, 0.25, 0.6, 0.7], 40)
    assert judged(losses, val_loss=losses + 0.05).verdict == "pass"


def test_new_text_is_never_known_by_heart(judged):
    losses = np.geomspace(8.0, 0.002, 80)
    found = judged(losses, val_loss=losses + 0.001)
    assert found.verdict == "unknown" and found.findings[-1].values["kind"] == "answered"


def test_a_gradient_that_dies_out_is_odd_while_there_is_something_to_learn(judged):
    losses, norms = falling(end=2.9), np.geomspace(1.0, 1e-7, 80)
    found = judged(losses, grad_norm=norms)
    assert found.verdict == "unknown" and found.findings[-1].values["kind"] == "vanished"
    assert judged(losses, grad_norm=np.geomspace(1.0, 1e-2, 80)).verdict == "pass"


def test_a_stage_that_the_log_tells_of_may_leap(judged):
    """Another text is harder: nothing is lost, and no batch is to blame."""
    losses = np.concatenate([falling(60, 8.0, 1.8), falling(60, 3.7, 2.6, seed=1)])
    assert judged(losses, every=50, stage=[1] * 60 + [2] * 60).verdict == "pass"
    assert judged(losses, every=50, stage=["train"] * 120).leaf != "loss-spike-batch"


def test_a_leap_of_the_rate_is_found_in_a_log_of_every_twentieth_step(judged):
    losses = 2.3 + RNG(2).normal(0, 0.02, 160)
    losses[80:] += 0.3 * np.exp(-np.arange(80) / 60)
    rates = np.concatenate([np.linspace(6e-5, 5.3e-5, 80), np.linspace(3e-4, 2.9e-4, 80)])
    assert judged(losses, every=20, lr=rates).leaf == "loss-spike-lr"


def test_a_batch_of_one_row_does_not_begin_again_with_each_rise():
    steps, losses = 5 * np.arange(120), 3.0 + np.exp(-np.arange(120) / 30) + RNG(3).normal(0, 0.4, 120)
    losses[0], losses[60] = 4.2, 4.4  # by chance alone
    assert fresh_start(steps, losses) is None
    calm = np.concatenate([falling(60, 8.0, 3.0), falling(60, 8.0, 3.4, seed=1)])
    assert fresh_start(steps, calm) == 300
