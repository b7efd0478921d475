"""Mistakes that come of the order of a loop's lines, or late, and sound loops that look like them."""

import pytest
import torch
from loops import V
from wild_loops import Little, adamw, cross_entropy, inside, plain, train
from wild_loops_written_out import steps_of

from minigpt.diagnosis import Verdict
from minigpt.messages import MiniGPTError
from minigpt.monitor import Monitor

pytestmark = [
    pytest.mark.filterwarnings("error:The monitor has stopped"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
]


def asked(step):
    """Warm-up of 4 steps, then a straight line down to a tenth."""
    return 3e-3 * min((step + 1) / 4, 1.0) * (1 - 0.9 * min(max(step - 3, 0) / 60, 1.0))


def scheduler(optimizer):
    """Return what sets that learning rate."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: asked(step) / 3e-3)


def answer_at_the_end(targets):
    """Score one position, whose target is no token of the sequence, as in arithmetic."""
    scored = torch.full_like(targets, -100)
    scored[:, -1] = targets.sum(-1) % V
    return scored


@pytest.mark.parametrize("first", ["schedule", "optimizer"])
def test_a_schedule_stepped_at_each_micro_batch_is_named_wherever_it_is_stepped(first, watch):
    model = Little()
    optimizer = adamw(model)
    schedule, settings = scheduler(optimizer), {"schedule": asked, "warmup_steps": 4}
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer, **settings):
        for micro in range(4):
            loss = plain(model, inputs, targets) / 4
            loss.backward()
            monitor.step(loss)
            if micro == 3 and first == "optimizer":
                optimizer.step()
            schedule.step()
        if first == "schedule":
            optimizer.step()
        optimizer.zero_grad()
    assert watch.monitor.check().leaf == "schedule-step-unit"


@pytest.mark.parametrize("schedule_too", [False, True])
def test_an_optimizer_built_anew_after_the_first_steps_is_named_and_not_its_schedule(schedule_too, watch):
    model = Little()
    optimizer = adamw(model)
    schedule = scheduler(optimizer)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer, schedule=asked, warmup_steps=4):
        if step == 8:  # the second epoch
            optimizer = adamw(model)
            schedule = scheduler(optimizer) if schedule_too else schedule
        if not schedule_too:
            optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = asked(step)
        loss = plain(model, inputs, targets)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        monitor.step(loss)
    assert watch.monitor.check().leaf == "lost-optimizer-state"


@pytest.mark.parametrize("stage", ["more parameters", "another rule", "state taken along"])
def test_an_optimizer_for_another_stage_is_no_fault(stage, watch):
    model = Little()
    if stage == "more parameters":
        model.mlp.requires_grad_(False)
    optimizer = adamw(model)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer):
        if step == 8:
            model.requires_grad_(True)
            before, optimizer = optimizer, adamw(model)
            if stage == "another rule":
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            if stage == "state taken along":
                optimizer.load_state_dict(before.state_dict())
        loss = plain(model, inputs, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss)
    assert watch.monitor.check(whole=True).verdict is Verdict.PASS


@pytest.mark.parametrize("to_none", [False, True])
def test_gradients_that_are_cleared_before_the_step_are_found(to_none, watch):
    model = Little()
    optimizer = adamw(model)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        loss = plain(model, inputs, targets)
        loss.backward()
        optimizer.zero_grad(set_to_none=to_none)
        optimizer.step()
        monitor.step(loss)
    assert watch.monitor.check().leaf == "frozen-parameters"


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize(("sign", "maximize"), [(-1, False), (1, True)])
def test_a_loss_that_is_made_to_grow_is_found_whatever_is_logged(sign, maximize, kind, watch):
    model = Little()
    optimizer = kind(model.parameters(), lr=1e-3, weight_decay=0.0, maximize=maximize)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        loss = plain(model, inputs, targets)
        (sign * loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss)
    assert watch.monitor.check().leaf == "diverging"


@pytest.mark.parametrize(
    ("lr", "steps", "leaf"), [(0.0, 12, "base-lr-zero"), (0.0, 6, None), (1e-3, 12, None)]
)
def test_a_rate_that_is_always_0_is_found_without_a_schedule(lr, steps, leaf, watch):
    train(watch, Little(), optimizer=lambda model: adamw(model, lr=lr), steps=steps)
    assert watch.monitor.check().leaf == leaf


def test_to_unlearn_is_no_fault_of_weights_that_have_learnt(watch):
    train(watch, Little(), lambda *batch: -plain(*batch), starts_from="a run")
    assert "diverging" not in watch.monitor.check(whole=True).leaves


def test_tokens_that_are_pushed_down_among_others_are_no_loss_that_grows(watch):
    def more_rejected(model, inputs, targets):  # as one pass over both answers of a preference
        made = model(inputs).transpose(1, 2)
        score = -torch.nn.functional.cross_entropy(made, targets, reduction="none").mean(-1)
        return -torch.nn.functional.logsigmoid(score[:1].mean() - score[1:].mean())

    train(watch, Little(), more_rejected)
    assert watch.monitor.check(whole=True).leaves == []


def test_a_tied_head_that_repeats_its_input_has_learnt_nothing_before(watch):
    """Scored on the tokens that it reads, a fresh model is better than chance."""
    model = Little(head="functional", d=76)
    train(watch, model, lambda model, inputs, _: cross_entropy(model(inputs), inputs))
    found = watch.monitor.check(whole=True)
    assert next(f for f in found.findings if f.question == "1.1").values["delta"] < -0.5
    assert found.leaves == ["target-shift"]


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (lambda targets: targets.roll(1, dims=0), Verdict.FAIL),  # each row is asked for another's tokens
        (lambda targets: targets.T, Verdict.UNKNOWN),  # flattened in another order than the logits
        (lambda targets: (targets * 7 + 3) % V, Verdict.UNKNOWN),  # ids of another tokenizer
        (answer_at_the_end, Verdict.PASS),
    ],
)
def test_targets_that_do_not_follow_from_what_a_causal_model_reads_are_not_called_healthy(
    spoil, verdict, watch
):
    train(watch, Little(), lambda model, inputs, targets: plain(model, inputs, spoil(targets)))
    walk = watch.monitor.check(whole=True)
    assert walk.leaf == ("shuffled-targets" if verdict is Verdict.FAIL else None)
    assert walk.verdict is verdict


def test_a_vocabulary_that_the_model_does_not_have_is_not_called_healthy(watch):
    train(watch, Little(returns="loss"), inside, vocab_size=50257)
    walk = watch.monitor.check(whole=True)
    assert (walk.leaf, walk.verdict) == (None, Verdict.UNKNOWN)
    assert next(f for f in walk.findings if f.question == "1.1").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vocab_size": "256"}, "vocab_size = '256' is not a valid vocabulary size"),
        ({"vocab_size": 0}, "vocab_size = 0 is not a valid vocabulary size"),
        ({"frozen": ["tokenz"]}, "begins with “tokenz”.* Did you mean “tokens.weight”"),
        ({"multipliers": {"head": 0.5}}, "no such parameter group: it has 0, 1"),
        ({"schedule": 3e-4}, r"schedule\(0\) does not return a learning rate \(TypeError"),
        ({"schedule": lambda step: [1.0]}, r"schedule\(0\) does not return a learning rate"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_the_run(given, said, tmp_path):
    model = Little()
    with pytest.raises(MiniGPTError, match=said):
        Monitor(model, adamw(model), **{"vocab_size": V, "run_dir": tmp_path / "run"} | given)


def test_one_prefix_may_be_given_as_it_is(tmp_path):
    model = Little()
    model.tokens.requires_grad_(False)
    monitor = Monitor(model, adamw(model), vocab_size=V, run_dir=tmp_path / "run", frozen="tokens")
    train(lambda *_: monitor, model)
    assert monitor.check().leaf is None


def test_a_monitor_that_was_not_opened_says_so(watch):
    model = Little()
    monitor = watch(model, adamw(model))
    for call in (monitor.step, monitor.check):
        with pytest.raises(MiniGPTError, match="open it around the loop"):
            call()
