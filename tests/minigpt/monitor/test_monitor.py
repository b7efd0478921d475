"""The monitor finds the faults of external loops, and does not change what they compute."""

import copy

import loops
import pytest
import torch
import torch.nn.functional as F

from minigpt.cli import main
from minigpt.dashboard import from_run
from minigpt.diagnosis import Verdict
from minigpt.messages import MiniGPTError
from minigpt.monitor import Monitor
from minigpt.runs.run import Run


@pytest.fixture
def monitor(tmp_path):
    """Return a function that watches a model and an optimizer; settings may be given beforehand."""

    def with_settings(**settings):
        known = {"schedule": loops.lr_asked, "warmup_steps": 5}
        settings = {"vocab_size": loops.V, "run_dir": tmp_path / "run"} | known | settings
        return lambda model, optimizer: Monitor(model, optimizer, **settings)

    return with_settings


@pytest.mark.parametrize(
    ("fault", "k", "leaf"),
    [
        ("missing-zero-grad", 1, "missing-zero-grad"),
        ("missing-zero-grad", 2, "missing-zero-grad"),
        ("lost-optimizer-state", 1, "lost-optimizer-state"),
        ("decay-groups", 1, "decay-groups"),
        ("accumulation-sum", 2, "accumulation-sum"),
        ("accumulation-sum", 4, "accumulation-sum"),
        ("loss-reduction", 1, "loss-reduction"),
        ("loss-reduction", 3, "loss-reduction"),
        ("target-shift", 1, "target-shift"),
        ("no-bias-correction", 1, "no-bias-correction"),
        ("frozen-parameters", 1, "frozen-parameters"),
        ("missing-parameters", 1, "frozen-parameters"),
        ("scheduler-never-stepped", 1, "scheduler-never-stepped"),
        ("schedule-step-unit", 4, "schedule-step-unit"),
        ("schedule-lengths", 4, "schedule-step-unit"),
        ("lr-group-scale", 1, "lr-group-scale"),
        ("future-leak", 1, "future-leak"),
        ("degenerate-data", 1, "degenerate-data"),
        ("loss-mask-empty", 1, "loss-mask-empty"),
    ],
)
def test_each_mistake_of_a_plain_loop_is_named(fault, k, leaf, monitor):
    _, _, watched = loops.train(fault, monitor(), k=k, steps=24)
    assert watched.check().leaf == leaf


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_clean_loop_has_no_leaf(k, seed, monitor):
    _, _, watched = loops.train("", monitor(), k=k, steps=24, seed=seed)
    found = watched.check(whole=True)
    assert found.verdict is Verdict.PASS
    assert [finding.leaf for finding in found.findings if finding.leaf] == []
    measured = {f.question for f in found.findings if f.verdict is Verdict.PASS}
    asked = {"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "2.1", "2.2", "3.1b", "3.3", "6.1", "6.2", "6.2b"}
    assert asked <= measured
    accumulation = next(f for f in found.findings if f.question == "6.3")
    # micro-batches that all count the same number of targets show no weighting
    assert accumulation.values == ({"equal": 1.0, "unequal": None} if k > 1 else {})


def test_a_watched_loop_computes_what_the_bare_one_computes(monitor):
    bare, model, _ = loops.train("", model=loops.make_model(dropout=0.1), k=2)
    watched, twin, _ = loops.train("", monitor(), model=loops.make_model(dropout=0.1), k=2)
    assert watched == bare
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_nothing_is_left_on_the_model(monitor):
    _, model, _ = loops.train("", monitor(), steps=2)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())


def test_norms_are_those_before_clipping_and_losses_those_of_the_step(monitor):
    losses, _, watched = loops.train("", monitor(), steps=3, k=2)
    records = Run(watched.run_dir).metrics
    assert [record["loss"] for record in records] == pytest.approx(
        [(losses[2 * step] + losses[2 * step + 1]) / 2 for step in range(3)]
    )
    assert records[0]["grad_norm"] > 1 and records[0]["clipped"]  # to a norm of 1
    assert records[1]["lr"]["0"] == loops.lr_asked(1)
    assert records[0]["tokens"] == 2 * loops.B * loops.T


def steps_of(model, optimizer, watching, step, micros):
    """Take one step, its gradient from `micros` batches."""
    for micro in range(micros):
        inputs, targets, _ = loops.batch_at(loops.tokens(), 2 * step + micro)
        loss = F.cross_entropy(loops.logits_of(model, inputs).flatten(0, 1), targets.flatten())
        (loss / micros).backward()
        watching.step(loss)
    norm = torch.linalg.vector_norm(
        torch.stack([p.grad.norm() for p in model.parameters() if p.requires_grad])
    )
    optimizer.step()
    optimizer.zero_grad()
    return norm.item()


def test_after_the_first_step_norms_and_tokens_are_still_those_of_the_whole_step(monitor):
    model = loops.make_model()
    optimizer = torch.optim.AdamW(loops.groups(model), lr=1e-3)
    with monitor(schedule=None, warmup_steps=0)(model, optimizer) as watching:
        norms = []
        for step in range(6):
            if step == 4:  # a gradient that is thrown away is none of the step's
                loops.logits_of(model, loops.batch_at(loops.tokens(), 99)[0]).sum().backward()
                optimizer.zero_grad()
            norms.append(steps_of(model, optimizer, watching, step, micros=2))
    records = Run(watching.run_dir).metrics
    assert [record["grad_norm"] for record in records] == pytest.approx(norms, rel=1e-5)
    assert [record["tokens"] for record in records] == [2 * loops.B * loops.T] * 6


def test_norms_go_on_when_what_was_listened_to_is_frozen(monitor):
    model = loops.make_model()
    optimizer = torch.optim.AdamW(loops.groups(model), lr=1e-3)
    with monitor(schedule=None, warmup_steps=0)(model, optimizer) as watching:
        norms = []
        for step in range(8):
            if step == 3:  # from the embedding up to the last block
                for parameter in list(model.parameters())[:-4]:
                    parameter.requires_grad_(False)
            if step == 6:
                model.requires_grad_(True)
            norms.append(steps_of(model, optimizer, watching, step, micros=1))
    found = [record.get("grad_norm") for record in Run(watching.run_dir).metrics]
    assert found == pytest.approx(norms, rel=1e-5)


@pytest.mark.parametrize("order", ["before", "after", "after-zero-grad"])
@pytest.mark.parametrize("divided", [False, True])
def test_the_loss_may_be_given_anywhere_in_the_loop(order, divided, monitor):
    model, data, k = loops.make_model(), loops.tokens(), 2
    optimizer = torch.optim.AdamW(loops.groups(model), lr=1e-3)
    given = []
    with monitor(schedule=None, warmup_steps=0)(model, optimizer) as watching:
        for step in range(3):
            total = 0.0
            for micro in range(k):
                inputs, targets, _ = loops.batch_at(data, 2 * step + micro)
                loss = F.cross_entropy(loops.logits_of(model, inputs).flatten(0, 1), targets.flatten())
                (loss / k).backward()
                total += loss.item() / k
                if order == "before":
                    watching.step(loss / k if divided else loss)
            optimizer.step()
            if order == "after":
                watching.step(total)
            optimizer.zero_grad()
            if order == "after-zero-grad":
                watching.step(torch.tensor(total), val_loss=5.0)
            given.append(total)
    assert [record["loss"] for record in Run(watching.run_dir).metrics] == pytest.approx(given, rel=1e-5)
    assert ("val_loss" in Run(watching.run_dir).metrics[1]) == (order == "after-zero-grad")


def test_micro_batches_that_weigh_alike_whatever_they_count_are_found(monitor):
    def mask(micro):
        return (torch.arange(loops.T) > loops.T // (1 + 3 * micro)).expand(loops.B, loops.T)

    _, _, watched = loops.train("", monitor(), k=2, steps=6, mask=mask)
    assert watched.check().leaf == "accumulation-token-weighting"


def test_what_is_frozen_on_purpose_is_declared(monitor):
    prefix = "transformer.h" if hasattr(loops.make_model(), "transformer") else "h."
    _, _, watched = loops.train("frozen-parameters", monitor(frozen=[prefix]), steps=6)
    assert watched.check().verdict is Verdict.PASS


def test_without_a_schedule_the_rate_is_not_judged(monitor):
    _, _, watched = loops.train("scheduler-never-stepped", monitor(schedule=None), steps=6)
    found = watched.check(whole=True)
    assert found.verdict is Verdict.PASS
    assert {f.verdict for f in found.findings if f.question in ("2.1", "2.2")} == {Verdict.NOT_MEASURED}


def test_a_warm_up_from_zero_does_not_hide_the_size_of_updates(monitor):
    def from_zero(model, optimizer):
        return monitor(schedule=None, warmup_steps=0)(model, optimizer)

    model, data = loops.make_model(), loops.tokens()
    optimizer = torch.optim.AdamW(loops.groups(model), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 4, 1.0))
    with from_zero(model, optimizer) as watching:
        for step in range(6):
            inputs, targets, _ = loops.batch_at(data, step)
            loss = F.cross_entropy(loops.logits_of(model, inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            watching.step(loss)
    verdicts = {finding.question: finding.verdict for finding in watching.check(whole=True).findings}
    assert verdicts["6.2b"] is Verdict.PASS and verdicts["2.3"] is Verdict.PASS


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_other_losses_and_optimizers_raise_no_alarm(smoothing, monitor):
    model, data = loops.make_model(), loops.tokens()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with monitor(schedule=None, warmup_steps=0)(model, optimizer) as watching:
        for step in range(8):
            inputs, targets, _ = loops.batch_at(data, step)
            logits = loops.logits_of(model, inputs).flatten(0, 1)
            loss = F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing)
            optimizer.zero_grad()  # between the way forward and the way back
            loss.backward()
            optimizer.step()
            watching.step(loss)
    assert watching.check().verdict is Verdict.PASS


def test_a_gradient_scaler_is_taken_out_of_what_is_measured(monitor):
    model, data = loops.make_model(), loops.tokens()
    optimizer = torch.optim.AdamW(loops.groups(model), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with monitor(schedule=None, warmup_steps=0, scaler=scaler)(model, optimizer) as watching:
        for step in range(6):
            inputs, targets, _ = loops.batch_at(data, step)
            loss = F.cross_entropy(loops.logits_of(model, inputs).flatten(0, 1), targets.flatten())
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            watching.step(loss)
    assert watching.check().verdict is Verdict.PASS
    assert Run(watching.run_dir).metrics[0]["grad_norm"] < 10


def test_a_model_that_cannot_be_seen_through_is_not_judged_by_guesses(monitor):
    """A head that is no module, a loss that is no cross-entropy: little is measured, nothing invented."""
    weights = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(weights.parameters(), lr=1e-3)
    with monitor(schedule=None, warmup_steps=0)(weights, optimizer) as watching:
        for _ in range(6):
            loss = weights(torch.ones(2, 4)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watching.step(loss)
    findings = {finding.question: finding.verdict for finding in watching.check(whole=True).findings}
    assert {findings[question] for question in ("1.3", "1.4", "1.5", "1.6", "6.3")} == {Verdict.NOT_MEASURED}


def test_the_run_directory_is_one_that_the_commands_read(monitor, capsys):
    _, _, watched = loops.train("target-shift", monitor(), steps=3)
    assert main(["check", str(watched.run_dir)]) == 1
    assert "target-shift" in capsys.readouterr().out
    assert main(["dashboard", str(watched.run_dir)]) == 0
    assert (watched.run_dir / "dashboard.html").is_file()
    assert from_run(watched.run_dir).finished


def test_a_watched_run_cannot_be_resumed(monitor, capsys):
    _, _, watched = loops.train("", monitor(), steps=1)
    assert main(["train", "--resume", str(watched.run_dir)]) == 2
    assert "its own program" in capsys.readouterr().err


def test_it_can_be_asked_while_the_loop_goes_on(monitor):
    model, data = loops.make_model(), loops.tokens()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with monitor(schedule=None, warmup_steps=0)(model, optimizer) as watching:
        with pytest.warns(UserWarning, match="no finished step"):
            assert watching.check().verdict is Verdict.UNKNOWN
        inputs, targets, _ = loops.batch_at(data, 0)
        loss = F.cross_entropy(loops.logits_of(model, inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        watching.step(loss)
        found = {finding.question: finding.verdict for finding in watching.check().findings}
        assert found["6.1"] is Verdict.WARN  # one group for all: odd, and no fault


def test_an_optimizer_of_another_model_is_refused(monitor):
    model = loops.make_model()
    other = torch.optim.AdamW(copy.deepcopy(model).parameters())
    with pytest.raises(MiniGPTError, match="no parameter of this model"):
        monitor()(model, other)
