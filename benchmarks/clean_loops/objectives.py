"""Loops with another objective than the mean cross-entropy of the next token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .parts import DATA, D, Decoder, T, V, batch, ce, loop, train, trained

EVERYWHERE = torch.ones(T, T, dtype=torch.bool)


def nats(logits, targets):
    """Return the cross-entropy of every position, (B, T)."""
    return F.cross_entropy(logits.mT, targets, reduction="none")


class Reader(nn.Module):
    """A model that reads a text as a whole, and something made of its last states."""

    def __init__(self, outs, pooled=False):
        super().__init__()
        self.body, self.made, self.pooled = Decoder(), nn.Linear(D, outs), pooled
        del self.body.head

    def forward(self, x):
        states = self.body.hidden(x, EVERYWHERE[: x.shape[1], : x.shape[1]])
        return self.made(states.mean(1) if self.pooled else states)


@loop
def prefix_that_is_read_as_a_whole(out):
    prefix, model = 8, Decoder()
    mask = EVERYWHERE.tril()
    mask[:, :prefix] = True

    def loss_of(x, y):
        asked = y.masked_fill(torch.arange(T) < prefix - 1, -100)
        return ce(model(x, mask), asked, ignore_index=-100)

    train(out, model, loss_of=loss_of)


@loop
def two_passes_that_agree(out):
    model = Decoder(dropout=0.1)

    def loss_of(x, y):
        one, other = model(x), model(x)
        apart = F.kl_div(one.log_softmax(-1), other.log_softmax(-1), log_target=True, reduction="batchmean")
        return (ce(one, y) + ce(other, y)) / 2 + apart / T

    train(out, model, loss_of=loss_of)


@loop
def every_share_of_masks(out):
    model = Decoder()

    def loss_of(x, _):
        share = 0.05 + 0.9 * torch.rand(len(x), 1)
        hidden = torch.rand(x.shape) < share
        return (nats(model(x.masked_fill(hidden, V - 1), EVERYWHERE), x) * hidden / share).mean()

    train(out, model, loss_of=loss_of)


@loop
def rare_letters_weigh_more(out):
    weight = (torch.bincount(DATA, minlength=V) + 50.0).rsqrt()
    model = Decoder()
    train(out, model, loss_of=lambda x, y: ce(model(x), y, weight=weight / weight.mean()))


@loop
def focal_loss(out):
    model = Decoder()

    def loss_of(x, y):
        losses = nats(model(x), y)
        return ((1 - (-losses).exp()).square() * losses).mean()

    train(out, model, loss_of=loss_of)


@loop
def hardest_half_of_the_letters(out):
    model = Decoder()

    def loss_of(x, y):
        losses = nats(model(x), y).flatten()
        return losses.topk(len(losses) // 2).values.mean()

    train(out, model, loss_of=loss_of)


@loop
def sum_over_a_fixed_number(out):
    model = Decoder()

    def loss_of(x, y):
        asked = y.masked_fill(torch.rand(y.shape) < 0.3, -100)
        return ce(model(x), asked, ignore_index=-100, reduction="sum") / y.numel()

    train(out, model, loss_of=loss_of)


@loop
def teacher_at_a_temperature_alone(out):
    teacher, model = trained().requires_grad_(False).eval(), Decoder(depth=1)

    def loss_of(x, _):
        with torch.no_grad():
            asked = (teacher(x) / 2).log_softmax(-1)
        return F.kl_div((model(x) / 2).log_softmax(-1), asked, log_target=True, reduction="batchmean") * 4 / T

    train(out, model, loss_of=loss_of)


@loop
def adaptive_softmax(out):
    class Adaptive(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Decoder()
            del self.body.head
            self.scores = nn.AdaptiveLogSoftmaxWithLoss(D, V, [16, 48])

        def forward(self, x, y):
            return self.scores(self.body.hidden(x).flatten(0, 1), y.flatten()).loss

    model = Adaptive()
    train(out, model, loss_of=model)


@loop
def policy_with_a_baseline(out):
    model = Decoder()

    def loss_of(x, _):
        with torch.no_grad():
            text = x[:, :4]
            for _ in range(8):
                drawn = torch.distributions.Categorical(logits=model(text)[:, -1]).sample()
                text = torch.cat([text, drawn[:, None]], 1)
        reward = (text[:, 4:] < V // 2).float().mean(1)
        taken = -nats(model(text[:, :-1]), text[:, 1:])[:, 3:]
        return -((reward - reward.mean())[:, None] * taken).mean()

    train(out, model, loss_of=loss_of, steps=60)


@loop
def replaced_letters_found(out):
    model = Reader(1)

    def loss_of(x, _):
        other = x.where(torch.rand(x.shape) > 0.15, torch.randint(V - 2, x.shape))
        return F.binary_cross_entropy_with_logits(model(other)[..., 0], (other != x).float())

    train(out, model, loss_of=loss_of)


@loop
def number_for_a_text(out):
    model = Reader(1, pooled=True)

    def loss_of(x, _):
        asked = 10 * (x == DATA.mode().values).float().mean(1)
        return (model(x)[:, 0] - asked).square().mean()

    train(out, model, loss_of=loss_of, clip=1.0)


@loop
def tags_of_a_few_letters(out):
    model = Reader(3)

    def loss_of(x, _):
        asked = (x % 3).masked_fill(torch.rand(x.shape) < 0.8, -100)
        return ce(model(x), asked, ignore_index=-100)

    train(out, model, loss_of=loss_of)


@loop
def two_halves_of_a_text(out):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = Reader(D, pooled=True), Reader(D, pooled=True)

        def forward(self, x):
            halves = self.left(x[:, : T // 2]), self.right(x[:, T // 2 :])
            left, right = (F.normalize(half, dim=-1) for half in halves)
            return 10 * left @ right.T

    model = Pair()

    def loss_of(x, _):
        logits, own = model(x), torch.arange(len(x))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    train(out, model, loss_of=loss_of, batches=lambda: batch(12))


@loop
def letters_mixed_in_pairs(out):
    model = Decoder()

    def loss_of(x, y):
        share, order = float(torch.distributions.Beta(0.4, 0.4).sample()), torch.randperm(len(x))
        h = share * model.tokens(x) + (1 - share) * model.tokens(x[order])
        h = h + model.places(torch.arange(T))
        for block in model.blocks:
            h = block(h)
        logits = model.head(model.norm(h))
        return share * ce(logits, y) + (1 - share) * ce(logits, y[order])

    train(out, model, loss_of=loss_of)
