"""What is computed again, divided by, cut off or moved by others: mistakes in our own loops."""

import pytest
import torch
from loops import V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


class Again(torch.autograd.Function):
    """Runs a part without its graph, and once more in the backward pass; the dropout is another one then."""

    @staticmethod
    def forward(ctx, part, keeps, x, *weights):
        ctx.part, ctx.keeps, ctx.state = part, keeps, torch.get_rng_state()
        ctx.save_for_backward(x, *weights)
        with torch.no_grad():
            return part(x)

    @staticmethod
    def backward(ctx, gradient):
        x, *weights = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            if ctx.keeps:
                torch.set_rng_state(ctx.state)
            made = ctx.part(x)
        return None, None, *torch.autograd.grad(made, [x, *weights], gradient)


class Recomputed(nn.Module):
    def __init__(self, part, keeps):
        super().__init__()
        self.part, self.keeps = part, keeps

    def forward(self, x):
        return Again.apply(self.part, self.keeps, x, *self.part.parameters())


@KINDS.add("wrong-backward")
def dropout_is_another_when_it_is_computed_again(watch, broken):
    model = Little(d=32)
    part = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Dropout(0.3), nn.Linear(64, 32))
    model.mlp = Recomputed(part, keeps=not broken)
    train(watch, model)


@KINDS.add("epsilon-too-large")
def decay_stands_where_epsilon_does(watch, broken):
    model = Little()
    eps = 0.1 if broken else 1e-8
    train(watch, model, optimizer=torch.optim.AdamW(model.parameters(), 3e-3, eps=eps, weight_decay=0.0))


@KINDS.add("schedule-step-unit")
def a_warm_up_moves_once_an_epoch(watch, broken):
    model = Little()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min((n + 1) / 30, 1.0))
    moves = 12 if broken else 1
    train(watch, model, optimizer=optimizer, steps=60, after=lambda n, _: (n + 1) % moves or schedule.step())


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)


def test_ids_that_are_cut_to_the_last_row_are_odd(watch):
    data = tokens()

    def batches(rows):
        return lambda step: [part.clamp(max=rows - 1) for part in batch_at(data, step)[:2]]

    often = int(data.median())
    train(watch, Little(rows=often + 1), batches=batches(often + 1), vocab_size=often + 1)
    found = check(watch.run_dir)
    assert found.verdict is Verdict.UNKNOWN and found.findings[-1].question == "1.8b"
    train(watch, Little(), batches=batches(V))
    assert check(watch.run_dir).verdict is Verdict.PASS


def test_as_many_learnt_vectors_as_rows_are_no_batch(watch):
    """A soft prompt is handed to the model beside the tokens; its rows belong to no row of the batch."""

    class Prompted(Little):
        def forward(self, ids, prompt):
            return self.logits(self.hidden(ids) + prompt.mean(0) + prompt[-1])

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = Prompted()
            self.prompt = nn.Parameter(torch.randn(len(batch_at(tokens(), 0)[0]), 16) * 0.1)

        def forward(self, ids):
            return self.model(ids, self.prompt)

    train(watch, Whole())
    assert check(watch.run_dir, whole=True).leaves == []


def test_as_many_outputs_as_channels_of_a_convolution_choose_no_expert(watch):
    """A layer beside a convolution of each channel, as state spaces have it, and of next to no effect."""

    class Gated(nn.Module):
        def __init__(self, d=16):
            super().__init__()
            self.over_time = nn.Conv1d(d, d, 3, groups=d)
            self.gate, self.out = nn.Linear(d, d, bias=False), nn.Linear(d, d)

        def forward(self, x):
            y = self.over_time(nn.functional.pad(x.mT, (2, 0))).mT
            return self.out(y * (1 + 1e-6 * self.gate(x)))

    model = Little()
    model.mlp = Gated()
    train(watch, model)
    assert check(watch.run_dir, whole=True).leaves == []


def test_beside_a_gradient_of_next_to_nothing_no_usual_epsilon_is_large(watch):
    model = Little()
    train(watch, model, loss_of=lambda x, y: 1e-7 * cross_entropy(model(x), y))
    assert "epsilon-too-large" not in check(watch.run_dir, whole=True).leaves


def test_weights_that_another_process_moves_are_not_frozen(watch):
    """As with optimizers that each hold a part of the weights, and send them round."""
    model, other = Little(), Little()
    mine, theirs = list(model.parameters())[::2], list(model.parameters())[1::2]

    def send(_step, _monitor):
        for ours, copy in zip(theirs, list(other.parameters())[1::2], strict=True):
            copy.data.add_(0.001 * torch.ones_like(copy))
            ours.data.copy_(copy.data)

    train(watch, model, optimizer=torch.optim.AdamW(mine, lr=3e-3, weight_decay=0.0), after=send)
    assert "frozen-parameters" not in check(watch.run_dir, whole=True).leaves
    model = Little()
    train(watch, model, optimizer=torch.optim.AdamW(list(model.parameters())[::2], lr=3e-3, weight_decay=0.0))
    assert check(watch.run_dir).leaf == "frozen-parameters"


def test_a_gradient_that_a_hook_takes_away_was_meant(watch):
    model = Little()
    model.positions.weight.register_hook(torch.zeros_like)
    train(watch, model)
    assert check(watch.run_dir, whole=True).leaves == []
    model = Little()
    for parameter in model.parameters():
        parameter.register_hook(torch.zeros_like)
    train(watch, model)
    assert check(watch.run_dir).leaf == "frozen-parameters"


def test_one_vector_with_a_group_of_its_own_sorts_nothing(watch):
    class Weighed(Little):
        def __init__(self):
            super().__init__()
            self.worth = nn.Parameter(torch.zeros(2))

    model = Weighed()
    others = [p for name, p in model.named_parameters() if name != "worth"]
    groups = [{"params": others, "weight_decay": 0.01}, {"params": [model.worth], "weight_decay": 0.0}]

    def loss_of(x, y):
        worth = model.worth.exp()
        return cross_entropy(model(x), y) * worth[0] + 0.1 * (worth - 1).square().sum()

    train(watch, model, optimizer=torch.optim.AdamW(groups, lr=3e-3), loss_of=loss_of)
    assert "decay-groups" not in check(watch.run_dir, whole=True).leaves
