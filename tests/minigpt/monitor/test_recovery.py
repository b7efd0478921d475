"""A plain loop with `Recovery` is, bit for bit, the loop that never saw the bad batches."""

import math

import pytest
import torch
from torch import nn

from minigpt import Monitor
from minigpt.diagnosis import Verdict
from minigpt.messages import LANGUAGES, use_language
from minigpt.monitor.recovery import Numbered, Recovery
from minigpt.training.guards import GuardError

BAD = {45, 46, 47}
STEPS = 70


def batch_at(number, bad=BAD):
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(32, 8, generator=generator)
    targets = (inputs[:, 0] > 0).long()
    if number in bad:  # a shard whose labels are the wrong way round
        return inputs * 8, 1 - targets
    return inputs, targets


def loop(sampler, guarded=True, damage_at=None, seed=0):
    """A loop of somebody else's, with dropout, a batch norm and a schedule."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    recovery = Recovery(model, optimizer, sampler, scheduler=scheduler)
    for updates, (inputs, targets) in enumerate(recovery.batches(STEPS)):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        answer = recovery.step(loss, norm) if guarded else "continue"
        if not guarded:
            recovery.state.advance()
        if answer == "continue":
            optimizer.step()
            scheduler.step()
        optimizer.zero_grad()
        if updates == damage_at:
            with torch.no_grad():
                model[0].weight.mul_(-1e3)
                model[4].weight.mul_(1e3)
    return model, optimizer, scheduler, recovery


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def never_bad(number):
    return batch_at(number + len(BAD) if number >= min(BAD) else number)


def test_bad_batches_leave_no_trace():
    model, optimizer, scheduler, recovery = loop(batch_at)
    clean, _, its_scheduler, _ = loop(never_bad, guarded=False)
    assert {found["batch"] for found in recovery.decisions} == BAD
    assert same(model, clean) and scheduler.last_epoch == its_scheduler.last_epoch == STEPS


def test_a_sampler_with_a_state_of_its_own_serves_too():
    model, *_, recovery = loop(Numbered(batch_at))
    assert same(model, loop(batch_at)[0]) and len(recovery.decisions) == len(BAD)


def test_damaged_weights_are_put_back_with_optimizer_and_schedule():
    _model, optimizer, scheduler, recovery = loop(lambda n: batch_at(n, bad=()), damage_at=50)
    assert [found["done"] for found in recovery.decisions].count("roll back and skip") == 1
    assert scheduler.last_epoch == STEPS
    assert {int(state["step"]) for state in optimizer.state.values()} == {STEPS}


def test_a_loss_that_is_no_number_is_left_out():
    model, *_, recovery = loop(
        lambda n: (batch_at(n, ())[0] * (math.nan if n == 5 else 1), batch_at(n, ())[1])
    )
    assert [found["batch"] for found in recovery.decisions] == [5]
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def fed_by_hand(steps, **settings):
    """A recovery that was given so many ordinary losses, and keeps copies if `begin` was called."""
    layer = nn.Linear(1, 1)
    recovery = Recovery(layer, torch.optim.SGD(layer.parameters(), lr=0.1), **settings)
    for step in range(steps):
        recovery.begin()
        recovery.step(2.0 + 0.01 * (step % 5), 1.0)
    return recovery


def suffer(recovery, tries=100):
    """Give it nothing but spikes."""
    for _ in range(tries):
        recovery.begin()
        recovery.step(50.0, 1.0)


@pytest.fixture(params=LANGUAGES)
def language(request):
    """The language in force."""
    use_language(request.param)
    yield request.param
    use_language(None)


def test_one_that_would_roll_back_for_ever_gives_up(language):
    recovery = fed_by_hand(60)
    with pytest.raises(GuardError) as refused:
        suffer(recovery)
    assert [found["done"] for found in recovery.decisions].count("roll back and skip") == 3
    assert "3" in str(refused.value) and "batches" in str(refused.value)


def test_no_copy_yet_and_no_copy_that_is_old_enough(language):
    without = fed_by_hand(60)
    without._ring = []
    with pytest.raises(GuardError) as refused:
        for _ in range(20):
            without.step(50.0, 1.0)
    assert "recovery.batches" in str(refused.value)
    recent = fed_by_hand(60)
    recent._ring = recent._ring[-1:]
    with pytest.raises(GuardError) as refused:
        suffer(recent)
    assert "keep" in str(refused.value) and "every" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"every": 0}, "every"),
        ({"keep": 0}, "keep"),
        ({"rollbacks": -1}, "rollbacks"),
        ({"z": 0.0}, "z "),
        ({"z": math.nan}, "z "),
        ({"every": 2, "keep": 2}, "`keep`"),  # it would only be told once the weights are damaged
        ({"sampler": [1, 2, 3]}, "list"),
    ],
)
def test_what_cannot_be_is_refused_before_the_loop(settings, named, language):
    with pytest.raises(GuardError) as refused:
        fed_by_hand(0, **settings)
    assert named in str(refused.value)


def test_copies_need_no_reach_where_nothing_goes_back():
    fed_by_hand(0, every=1, keep=1, rollbacks=0)


def test_a_sampler_that_is_missing_or_ends_too_early_is_told(language):
    class Short(Numbered):
        def __next__(self):
            if self._number == 5:
                raise StopIteration
            return super().__next__()

    ends = fed_by_hand(0, sampler=Short(float))
    with pytest.raises(GuardError) as refused:
        for _ in ends.batches(steps=8):
            ends.step(2.0, 1.0)
    assert "5" in str(refused.value) and "8" in str(refused.value)
    with pytest.raises(GuardError) as refused:
        next(fed_by_hand(0).batches(steps=8))
    assert "recovery.batches" in str(refused.value)


def test_a_batch_that_nobody_announced_cannot_be_left_out(language):
    with pytest.raises(GuardError) as refused:
        fed_by_hand(0).step(math.nan, 1.0)
    assert "recovery.begin()" in str(refused.value)


def test_a_scaler_is_told_of_a_step_that_was_left_out():
    """Or its next `unscale_` would raise; and it backs off, as after any overflow."""
    layer = nn.Linear(4, 1)
    optimizer, scaler = torch.optim.SGD(layer.parameters(), lr=0.1), torch.amp.GradScaler("cpu", 1024.0)
    batches = [torch.ones(2, 4) * (math.nan if number == 3 else 1) for number in range(8)]
    recovery = Recovery(layer, optimizer, batches.__getitem__, scaler=scaler)
    scales = []
    for batch in recovery.batches(6):
        loss = layer(batch).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        if recovery.step(loss, norm) == "continue":
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
        scales.append(scaler.get_scale())
    assert [found["batch"] for found in recovery.decisions] == [3]
    assert scales == [1024.0] * 3 + [512.0] * 4


def test_a_monitor_does_not_take_what_was_put_back_for_a_state_that_was_lost(tmp_path):
    torch.manual_seed(0)
    after = torch.randperm(32)  # which token follows which
    model = nn.Sequential(nn.Embedding(32, 16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 32, bias=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def batch_of(number):
        tokens = torch.randint(0, 32, (8, 16), generator=torch.Generator().manual_seed(number))
        return tokens, after[tokens]

    recovery, damaged = Recovery(model, optimizer, batch_of), False
    with Monitor(model, optimizer, vocab_size=32, run_dir=tmp_path / "run") as watch:
        for tokens, targets in recovery.batches(steps=120):
            loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            if recovery.step(loss, norm) == "continue":
                optimizer.step()
                watch.step(loss)
            optimizer.zero_grad()
            if recovery.state.step == 75 and not damaged:
                damaged = True
                with torch.no_grad():
                    model[3].weight.mul_(-1e3)
    assert recovery.state.rollbacks == 1
    finding = next(found for found in watch.check(whole=True).findings if found.question == "6.2")
    assert finding.verdict is Verdict.PASS
