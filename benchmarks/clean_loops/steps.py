"""Loops whose steps look like a mistake and are meant: weights that are moved, gradients made by hand."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import prune

from minigpt.monitor import Monitor

from .parts import DATA, Block, D, Decoder, T, V, adamw, batch, ce, loop, train

FEWER = 120  # steps


def watched(out, model, optimizer, step_of, steps=FEWER):
    """Train by `step_of(step)`, which makes the whole step and returns its loss."""
    with Monitor(model, optimizer, vocab_size=V, run_dir=out) as monitor:
        for step in range(steps):
            monitor.step(step_of(step))


def plain_step(model, *optimizers, between=lambda: None):
    """Return a step of all optimizers on one batch; `between` acts on the gradients before it."""

    def step_of(_):
        x, y = batch()
        loss = ce(model(x), y)
        loss.backward()
        between()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return step_of


@loop
def against_an_adversary(out):
    model = Decoder()
    optimizer, table = adamw(model), model.tokens.weight

    def step_of(_):
        x, y = batch()
        loss = ce(model(x), y)
        loss.backward()
        push = 0.1 * table.grad / table.grad.norm()
        table.data.add_(push)
        ce(model(x), y).backward()
        table.data.sub_(push)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    watched(out, model, optimizer, step_of)


@loop
def one_step_back_in_five(out):
    model = Decoder()
    slow = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def after(step, _):
        if step % 5 == 0:
            for p, kept in zip(model.parameters(), slow, strict=True):
                kept.lerp_(p, 0.5)
                p.copy_(kept)

    train(out, model, after=after, steps=FEWER)


@loop
def averages_put_in_for_an_evaluation(out):
    model = Decoder()
    average = copy.deepcopy(model)

    @torch.no_grad()
    def after(step, monitor):
        for kept, p in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(p, 0.05)
        if step % 40 == 39:
            own = copy.deepcopy(model.state_dict())
            model.load_state_dict(average.state_dict())
            x, y = batch()
            monitor.note(val_loss=ce(model.eval()(x), y).item())
            model.train().load_state_dict(own)

    train(out, model, after=after)


@loop
def a_teacher_that_follows(out):
    model = Decoder()
    teacher = copy.deepcopy(model).requires_grad_(False)

    def loss_of(x, y):
        logits = model(x)
        return ce(logits, y) + (logits.softmax(-1) - teacher(x).softmax(-1)).square().sum(-1).mean()

    @torch.no_grad()
    def after(_, __):
        for kept, p in zip(teacher.parameters(), model.parameters(), strict=True):
            kept.lerp_(p, 0.05)

    train(out, model, loss_of=loss_of, after=after)


@loop
def gradients_made_by_hand(out):
    model = Decoder()
    optimizer, learning = adamw(model), list(model.parameters())

    def step_of(_):
        x, y = batch()
        logits = model(x)
        halves = ce(logits[:, : T // 2], y[:, : T // 2]), ce(logits[:, T // 2 :], y[:, T // 2 :])
        parts = [torch.autograd.grad(half, learning, retain_graph=True) for half in halves]
        for p, one, other in zip(learning, *parts, strict=True):
            p.grad = (one + other) / 2
        optimizer.step()
        optimizer.zero_grad()
        return sum(halves) / 2

    watched(out, model, optimizer, step_of)


@loop
def each_row_clipped_by_itself(out):
    """Differential privacy (Abadi et al., 2016)."""
    model = Decoder(depth=1)
    optimizer, learning = adamw(model), list(model.parameters())

    def step_of(_):
        x, y = batch()
        losses, sums = [], [torch.zeros_like(p) for p in learning]
        for row in range(len(x)):
            losses.append(ce(model(x[row : row + 1]), y[row : row + 1]))
            found = torch.autograd.grad(losses[-1], learning)
            share = min(1.0, 1 / float(torch.stack([g.norm() for g in found]).norm()))
            for total, gradient in zip(sums, found, strict=True):
                total.add_(gradient, alpha=share)
        for p, total in zip(learning, sums, strict=True):
            p.grad = (total + 0.02 * torch.randn_like(total)) / len(x)
        optimizer.step()
        optimizer.zero_grad()
        return torch.stack(losses).mean()

    watched(out, model, optimizer, step_of, steps=60)


@loop
def steps_of_one_length(out):
    model = Decoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)

    def normalise():
        found = [p.grad for p in model.parameters()]
        torch._foreach_div_(found, torch.stack([gradient.norm() for gradient in found]).norm())

    watched(out, model, optimizer, plain_step(model, optimizer, between=normalise))


@loop
def two_optimizers_for_two_parts(out):
    model = Decoder()
    inner = torch.optim.AdamW(model.blocks.parameters(), lr=2e-3)
    rest = [p for name, p in model.named_parameters() if not name.startswith("blocks")]
    outer = torch.optim.SGD(rest, lr=0.2, momentum=0.9)
    watched(out, model, inner, plain_step(model, inner, outer))


@loop
def blocks_that_thaw(out):
    model = Decoder(depth=3)
    model.blocks[:2].requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)

    def before(step, _):
        if step in (50, 100):
            model.blocks[2 - step // 50].requires_grad_(True)

    train(out, model, optimizer, before=before)


@loop
def lower_rates_below(out):
    model = Decoder(depth=3)
    groups = [
        {"params": block.parameters(), "lr": 2e-3 * 0.8 ** (2 - n)} for n, block in enumerate(model.blocks)
    ]
    rest = [p for name, p in model.named_parameters() if not name.startswith("blocks")]
    train(out, model, torch.optim.AdamW([*groups, {"params": rest}], lr=2e-3, weight_decay=0.01))


@loop
def weights_rounded_on_the_way(out):
    class Rounded(nn.Linear):
        def forward(self, x):
            scale = self.weight.abs().max() / 127
            rounded = self.weight + ((self.weight / scale).round() * scale - self.weight).detach()
            return nn.functional.linear(x, rounded, self.bias)

    model = Decoder()
    for block in model.blocks:
        for layer in (block.qkv, block.out, block.up, block.down):
            layer.__class__ = Rounded
    train(out, model)


@loop
def half_of_the_weights_pruned(out):
    model = Decoder()
    for block in model.blocks:
        prune.random_unstructured(block.up, "weight", 0.5)
    train(out, model)


@loop
def weights_in_parts(out):
    model = Decoder()
    for block in model.blocks:
        nn.utils.parametrizations.weight_norm(block.up)
        nn.utils.parametrizations.spectral_norm(block.down)
    train(out, model)


@loop
def blocks_left_out_at_random(out):
    class Sometimes(Block):
        def forward(self, x, mask=None):
            return x if self.training and torch.rand(()) < 0.2 else super().forward(x, mask)

    model = Decoder(depth=3)
    for block in model.blocks:
        block.__class__ = Sometimes
    train(out, model)


@loop
def branches_that_begin_at_zero(out):
    model = Decoder()
    for block in model.blocks:
        nn.init.zeros_(block.out.weight)
        nn.init.zeros_(block.down.weight)
    train(out, model)


@loop
def one_block_three_times(out):
    class Again(Decoder):
        def hidden(self, x, mask=None):
            h = self.tokens(x) + self.places(torch.arange(x.shape[1]))
            for _ in range(3):
                h = self.blocks[0](h, mask)
            return self.norm(h)

    train(out, Again(depth=1))


@loop
def noise_on_what_is_read(out):
    class Noisy(Decoder):
        def forward(self, x, mask=None):
            h = self.tokens(x) + self.places(torch.arange(x.shape[1]))
            if self.training:
                h = h + torch.randn_like(h) * 5 / (T * D) ** 0.5
            for block in self.blocks:
                h = block(h, mask)
            return self.head(self.norm(h))

    train(out, Noisy())


@loop
def letters_exchanged_in_what_is_read(out):
    model = Decoder()

    def loss_of(x, y):
        return ce(model(x.where(torch.rand(x.shape) > 0.15, torch.randint(V - 2, x.shape))), y)

    train(out, model, loss_of=loss_of)


@loop
def more_rows_as_it_goes(out):
    rows = iter(range(4, 400))
    train(out, batches=lambda: batch(4 + next(rows) // 20))


@loop
def parts_weighed_by_their_targets(out):
    model = Decoder()
    optimizer = adamw(model)

    def step_of(_):
        parts = [batch(rows) for rows in (2, 3, 5)[: int(torch.randint(1, 4, ()))]]
        whole, total = sum(y.numel() for _, y in parts), 0.0
        for x, y in parts:
            loss = ce(model(x), y, reduction="sum") / whole
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        return total

    watched(out, model, optimizer, step_of)


@loop
def state_carried_from_batch_to_batch(out):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.core = nn.Embedding(V, D), nn.GRU(D, 2 * D, batch_first=True)
            self.head = nn.Linear(2 * D, V)

        def forward(self, x, state):
            states, state = self.core(self.tokens(x), state)
            return self.head(states), state

    lanes, model = DATA[: len(DATA) // 6 * 6].view(6, -1), Recurrent()
    optimizer, kept = adamw(model), [None]

    def step_of(step):
        at = step * T
        logits, state = model(lanes[:, at : at + T], kept[0])
        kept[0] = state.detach()
        loss = ce(logits, lanes[:, at + 1 : at + T + 1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    watched(out, model, optimizer, step_of)
