"""What looks like a mistake and is meant: a batch accumulated twice against an adversary, a step back."""

import pytest
import torch
from loops import batch_at, tokens
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict


@pytest.mark.parametrize(("moves", "leaf"), [(0.0, "repeated-batch"), (0.1, None)])
def test_a_second_pass_over_a_batch_is_meant_where_the_weights_were_moved(moves, leaf, watch):
    model, data = Little(), tokens()
    optimizer, table = adamw(model), model.tokens.weight
    with watch(model, optimizer) as monitor:
        for step in range(24):
            inputs, targets, _ = batch_at(data, step)
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            push = moves * table.grad / table.grad.norm()
            table.data.add_(push)
            cross_entropy(model(inputs), targets).backward()
            table.data.sub_(push)
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
    found = check(watch.run_dir, whole=True)
    assert found.leaf == leaf
    if not leaf:
        assert found.leaves == []


def test_the_weights_are_left_alone_where_no_batch_comes_twice(watch, monkeypatch):
    monkeypatch.setattr("minigpt.monitor.adversary._sums", lambda model: pytest.fail("they were added up"))
    model, data = Little(), tokens()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(8):
            for micro in range(2):
                inputs, targets, _ = batch_at(data, 2 * step + micro)
                loss = cross_entropy(model(inputs), targets) / 2
                loss.backward()
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("first", "share", "leaf"), [(0, 0.5, None), (4, 0.8, None), (4, 1.5, "writes-outside-optimizer")]
)
def test_a_step_back_along_the_way_since_the_last_one_is_no_foreign_write(first, share, leaf, watch):
    """Lookahead: each fifth step ends between the weights before the five and those after them."""
    model, data = Little(), tokens()
    optimizer = adamw(model)
    slow = [p.detach().clone() for p in model.parameters()]
    with watch(model, optimizer) as monitor:
        for step in range(40):
            inputs, targets, _ = batch_at(data, step)
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            monitor.step(loss)
            if step % 5 == first:
                with torch.no_grad():
                    for p, kept in zip(model.parameters(), slow, strict=True):
                        kept.add_(share * (p - kept))
                        p.copy_(kept)
    assert check(watch.run_dir, whole=True).leaves == ([leaf] if leaf else [])


def found_in(watch, model, optimizer, loss_of, others=(), clip=None, steps=30):
    """Train and return what is found; `others` are optimizers that step as well."""
    data = tokens()
    with watch(model, optimizer) as monitor:
        for step in range(steps):
            loss = loss_of(*batch_at(data, step)[:2])
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            for each in (optimizer, *others):
                each.step()
                each.zero_grad()
            monitor.step(loss)
    return check(watch.run_dir, whole=True)


def test_two_optimizers_have_a_decay_of_their_own(watch):
    model = Little()
    outer = [model.tokens.weight, model.positions.weight, *model.norm.parameters()]
    rest = [p for p in model.parameters() if not any(p is other for other in outer)]
    sgd = torch.optim.SGD(outer, lr=0.1)
    optimizer = torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.01)
    found = found_in(watch, model, optimizer, lambda x, y: cross_entropy(model(x), y), [sgd])
    assert found.leaves == []


def test_the_size_of_another_loss_is_its_own(watch):
    """A number for each row, with a larger gradient than a cross-entropy has, and clipped."""

    class Scorer(Little):
        def __init__(self):
            super().__init__()
            self.score = torch.nn.Linear(self.tokens.embedding_dim, 1)

        def forward(self, ids):
            return self.score(self.hidden(ids).mean(1))[:, 0]

    model = Scorer()
    found = found_in(
        watch,
        model,
        adamw(model),
        lambda x, y: (model(x) - (x % 7).float().mean(1)).square().mean(),
        clip=1.0,
    )
    assert found.leaves == [] and found.verdict is not Verdict.UNKNOWN


def test_the_loss_of_a_policy_may_be_below_zero(watch):
    model = Little()

    def loss_of(x, y):
        taken = model(x).log_softmax(-1).gather(-1, y[..., None])[..., 0].mean(-1)  # (B,)
        rewards = (y % 2).float().mean(-1)
        return -((rewards - rewards.mean()) * taken).mean()

    found = found_in(watch, model, adamw(model), loss_of)
    assert found.leaves == [] and found.verdict is not Verdict.UNKNOWN


def test_one_number_for_each_place_is_no_choice_among_classes(watch):
    """As in ELECTRA: was this token exchanged?"""

    class Finder(Little):
        def __init__(self):
            super().__init__(past_only=False)
            self.score = torch.nn.Linear(self.tokens.embedding_dim, 1)

        def forward(self, ids):
            return self.score(self.hidden(ids))

    model, dice = Finder(), torch.Generator().manual_seed(0)

    def loss_of(x, y):
        other = x.where(torch.rand(x.shape, generator=dice) > 0.15, y)
        asked = (other != x).float()
        return torch.nn.functional.binary_cross_entropy_with_logits(model(other)[..., 0], asked)

    assert found_in(watch, model, adamw(model), loss_of).leaves == []
