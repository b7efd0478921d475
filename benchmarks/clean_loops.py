#!/usr/bin/env python3
"""Sound training loops of many kinds, each watched by a Monitor: how many does the check call broken?

    python benchmarks/clean_loops.py [NAME ...]

Every loop is small (a few hundred thousand operations a step) and right. A verdict other than healthy is a
false alarm. Loops of libraries that are not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.diagnosis import check
from minigpt.monitor import Monitor

TEXT = "".join(inspect.getsource(module) for module in (argparse, inspect, random, copy))
LETTERS = sorted(set(TEXT))
DATA = torch.tensor([LETTERS.index(letter) for letter in TEXT])
V, T, B, D, STEPS = len(LETTERS) + 2, 24, 6, 24, 210
PAD, END = V - 2, V - 1
LOOPS: dict[str, Callable[[Path], None]] = {}


def loop(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Add a loop to the corpus."""
    LOOPS[function.__name__] = function
    return function


def batch(rows=B, length=T, generator=None):
    """Return tokens and those that follow, (rows, length) each."""
    starts = torch.randint(len(DATA) - length - 1, (rows,), generator=generator).tolist()
    windows = torch.stack([DATA[s : s + length + 1] for s in starts])
    return windows[:, :-1], windows[:, 1:]


class Block(nn.Module):
    """A block of a decoder, with the norm before or after each part."""

    def __init__(self, d=D, heads=2, dropout=0.0, post=False, norm=nn.LayerNorm, swiglu=False):
        super().__init__()
        self.norm1, self.norm2 = norm(d), norm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 3 * d * (2 if swiglu else 1)), nn.Linear(3 * d, d)
        self.heads, self.post, self.swiglu, self.drop = heads, post, swiglu, nn.Dropout(dropout)

    def attend(self, x, mask=None):
        b, t, d = x.shape
        q, k, v = (p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).reshape(b, t, d))

    def feed(self, x):
        x = self.up(x)
        if self.swiglu:
            gate, x = x.chunk(2, -1)
            return self.down(F.silu(gate) * x)
        return self.down(F.gelu(x))

    def forward(self, x, mask=None):
        if self.post:
            x = self.norm1(x + self.drop(self.attend(x, mask)))
            return self.norm2(x + self.drop(self.feed(x)))
        x = x + self.drop(self.attend(self.norm1(x), mask))
        return x + self.drop(self.feed(self.norm2(x)))


class Decoder(nn.Module):
    """A small decoder."""

    def __init__(
        self, vocab=V, depth=2, tied=False, std=0.02, bias=False, checkpoint=False, positions=True, **block
    ):
        super().__init__()
        self.tokens = nn.Embedding(vocab, D)
        self.places = nn.Embedding(2 * T, D) if positions else None
        self.blocks = nn.ModuleList(Block(**block) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, vocab, bias=bias)
        self.checkpoint = checkpoint
        if std:
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.Embedding):
                    nn.init.normal_(module.weight, std=std)
                    if getattr(module, "bias", None) is not None:
                        nn.init.zeros_(module.bias)
        if tied:
            self.head.weight = self.tokens.weight

    def hidden(self, x, mask=None):
        h = self.tokens(x)
        if self.places is not None:
            h = h + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            if self.checkpoint:
                h = torch.utils.checkpoint.checkpoint(block, h, mask, use_reentrant=False)
            else:
                h = block(h, mask)
        return self.norm(h)

    def forward(self, x, mask=None):
        return self.head(self.hidden(x, mask))


def ce(logits, targets, **more):
    """Return the mean cross-entropy of logits (B, T, V)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), **more)


def adamw(model, lr=2e-3, decay=0.1, **more):
    """Return AdamW whose matrices decay and whose vectors do not."""
    learning = [p for p in model.parameters() if p.requires_grad]
    many, few = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim < 2]
    groups = [{"params": many, "weight_decay": decay}, {"params": few, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), **more)


def train(
    out,
    model=None,
    optimizer=None,
    *,
    batches=batch,
    loss_of=None,
    steps=STEPS,
    k=1,
    clip=None,
    before=None,
    after=None,
    schedule=None,
    vocab=V,
    **told,
):
    """Train in the plainest way; what differs is given."""
    model = model if model is not None else Decoder()
    optimizer = optimizer or adamw(model)
    loss_of = loss_of or (lambda x, y: ce(model(x), y))
    with Monitor(model, optimizer, vocab_size=vocab, run_dir=out, **told) as monitor:
        for step in range(steps):
            if before:
                before(step, optimizer)
            for _ in range(k):
                loss = loss_of(*batches())
                (loss / k).backward()
                monitor.step(loss)
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if schedule:
                schedule.step()
            optimizer.zero_grad()
            if after:
                after(step, monitor)
    return model


def evaluate_every(model, every=50):
    """Return what evaluates a model and notes the loss."""

    def after(step, monitor):
        if step % every == every - 1:
            model.eval()
            with torch.no_grad():
                value = sum(ce(model(x), y).item() for x, y in (batch() for _ in range(4))) / 4
            model.train()
            monitor.note(val_loss=value)

    return after


# ---------------------------------------------------------------------- plain loops


@loop
def plain(out):
    train(out)


@loop
def default_adamw_of_all_parameters(out):
    model = Decoder()
    train(out, model, torch.optim.AdamW(model.parameters(), lr=2e-3))


@loop
def adam_without_decay(out):
    model = Decoder()
    train(out, model, torch.optim.Adam(model.parameters(), lr=2e-3))


@loop
def default_initialisation(out):
    train(out, Decoder(std=None))


@loop
def tied_head(out):
    train(out, Decoder(tied=True))


@loop
def head_with_bias(out):
    train(out, Decoder(bias=True))


@loop
def post_norm(out):
    train(out, Decoder(post=True))


@loop
def rms_norm_and_swiglu(out):
    train(out, Decoder(norm=nn.RMSNorm, swiglu=True))


@loop
def no_positions(out):
    train(out, Decoder(positions=False))


@loop
def one_layer(out):
    train(out, Decoder(depth=1))


@loop
def six_layers(out):
    train(out, Decoder(depth=6), steps=120)


@loop
def one_row_in_a_batch(out):
    train(out, batches=lambda: batch(rows=1))


@loop
def two_noisy_rows(out):
    train(out, batches=lambda: batch(rows=2, length=8))


@loop
def as_many_rows_as_tokens(out):
    train(out, batches=lambda: batch(rows=12, length=12))


@loop
def lengths_that_vary(out):
    train(out, batches=lambda: batch(length=random.choice((8, 12, 16, 24))))


@loop
def dropout(out):
    model = Decoder(dropout=0.1)
    train(out, model, after=evaluate_every(model))


@loop
def dropout_of_a_half(out):
    model = Decoder(dropout=0.5)
    train(out, model, after=evaluate_every(model))


@loop
def clipped(out):
    train(out, clip=1.0)


@loop
def accumulated(out):
    train(out, k=4, steps=120)


@loop
def label_smoothing(out):
    model = Decoder()
    train(out, model, loss_of=lambda x, y: ce(model(x), y, label_smoothing=0.1))


@loop
def z_loss(out):
    model = Decoder()

    def loss_of(x, y):
        logits = model(x)
        return ce(logits, y) + 1e-4 * logits.logsumexp(-1).square().mean()

    train(out, model, loss_of=loss_of)


@loop
def log_softmax_and_likelihood(out):
    model = Decoder()
    train(out, model, loss_of=lambda x, y: F.nll_loss(model(x).log_softmax(-1).flatten(0, 1), y.flatten()))


@loop
def validation_every_fifty_steps(out):
    model = Decoder()
    train(out, model, after=evaluate_every(model))


@loop
def gradients_set_to_zero(out):
    model = Decoder()
    optimizer = adamw(model)
    with Monitor(model, optimizer, vocab_size=V, run_dir=out) as monitor:
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=False)
            x, y = batch()
            loss = ce(model(x), y)
            loss.backward()
            optimizer.step()
            monitor.step(loss.item())


@loop
def several_parallel_losses(out):
    model = Decoder()
    extra = nn.Linear(D, V, bias=False)
    nn.init.normal_(extra.weight, std=0.02)
    model.extra = extra

    def loss_of(x, y):
        h = model.hidden(x)
        later = torch.roll(y, -1, 1)
        return ce(model.head(h), y) + 0.3 * ce(model.extra(h)[:, :-1], later[:, :-1])

    train(out, model, loss_of=loss_of)


# ---------------------------------------------------------------------- schedules


def with_schedule(out, make):
    model = Decoder()
    optimizer = adamw(model)
    train(out, model, optimizer, schedule=make(optimizer))


@loop
def cosine(out):
    with_schedule(out, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS))


@loop
def warm_up_and_line(out):
    with_schedule(
        out,
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: min((t + 1) / 20, max(1 - t / STEPS, 0.05))),
    )


@loop
def one_cycle(out):
    with_schedule(out, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 3e-3, total_steps=STEPS + 1))


@loop
def steps_down(out):
    with_schedule(out, lambda o: torch.optim.lr_scheduler.StepLR(o, 70, 0.3))


@loop
def warm_restarts(out):
    with_schedule(out, lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 70))


@loop
def a_scheduler_stepped_each_epoch(out):
    model = Decoder()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)

    def after(step, _monitor):
        if step % 40 == 39:
            schedule.step()

    train(out, model, optimizer, after=after)


@loop
def reduced_on_a_plateau(out):
    model = Decoder()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    train(out, model, optimizer, after=lambda step, _m: schedule.step(3.0) if step % 50 == 49 else None)


@loop
def rate_set_by_hand(out):
    def before(step, optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 10, 1.0)

    train(out, before=before)


@loop
def groups_at_different_rates(out):
    model = Decoder()
    optimizer = torch.optim.AdamW(
        [
            {"params": model.tokens.parameters(), "lr": 5e-4, "weight_decay": 0.0},
            {"params": [p for n, p in model.named_parameters() if not n.startswith("tokens")], "lr": 2e-3},
        ]
    )
    train(out, model, optimizer)


# ---------------------------------------------------------------------- optimizers


@loop
def sgd_with_momentum(out):
    model = Decoder(std=None)
    train(out, model, torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9), clip=1.0)


@loop
def adagrad(out):
    model = Decoder()
    train(out, model, torch.optim.Adagrad(model.parameters(), lr=0.02))


@loop
def rmsprop(out):
    model = Decoder()
    train(out, model, torch.optim.RMSprop(model.parameters(), lr=1e-3))


@loop
def nadam(out):
    model = Decoder()
    train(out, model, torch.optim.NAdam(model.parameters(), lr=2e-3))


@loop
def adamw_foreach_off(out):
    model = Decoder()
    train(out, model, adamw(model, foreach=False))


@loop
def adamw_fused(out):
    model = Decoder()
    train(out, model, adamw(model, fused=True))


class Lion(torch.optim.Optimizer):
    """The sign of a momentum (Chen et al., 2023)."""

    def __init__(self, params, lr=3e-4, betas=(0.9, 0.99), weight_decay=0.1):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            one, two = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((m * one + p.grad * (1 - one)).sign(), alpha=-group["lr"])
                m.mul_(two).add_(p.grad, alpha=1 - two)


@loop
def lion(out):
    model = Decoder()
    train(out, model, Lion(model.parameters()))


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices (Jordan, 2024)."""

    def __init__(self, params, lr=0.02, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(p.grad)
                u, _, v = torch.linalg.svd(m, full_matrices=False)
                p.add_(u @ v, alpha=-group["lr"])


@loop
def muon_beside_adamw(out):
    model = Decoder()
    inner = [p for p in model.blocks.parameters() if p.ndim == 2]
    ids = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in ids]
    muon, other = Muon(inner), torch.optim.AdamW(rest, lr=2e-3)
    with Monitor(model, muon, vocab_size=V, run_dir=out) as monitor:
        for _ in range(120):
            x, y = batch()
            loss = ce(model(x), y)
            loss.backward()
            muon.step()
            other.step()
            monitor.step(loss)
            model.zero_grad()


class ScheduleFree(torch.optim.Optimizer):
    """Averages in place of a schedule (Defazio et al., 2024), as stochastic gradient descent."""

    def __init__(self, params, lr=0.5, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta, "k": 0})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] += 1
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                z = state.setdefault("z", p.clone())
                x = state.setdefault("x", p.clone())
                z.add_(p.grad, alpha=-group["lr"])
                x.lerp_(z, 1 / group["k"])
                p.copy_(z.lerp(x, group["beta"]))


@loop
def schedule_free(out):
    model = Decoder(std=None)
    train(out, model, ScheduleFree(model.parameters()), clip=1.0)


class RoundedAdam(torch.optim.AdamW):
    """AdamW that keeps its first moment in eight bits, as quantised optimizers do."""

    def step(self, closure=None):
        super().step(closure)
        for state in self.state.values():
            m = state["exp_avg"]
            scale = m.abs().max().clamp(min=1e-12) / 127
            m.copy_((m / scale).round() * scale)


@loop
def moments_in_eight_bits(out):
    model = Decoder()
    train(out, model, RoundedAdam(adamw(model).param_groups, lr=2e-3))


@loop
def sharpness_aware(out):
    """Take two backward passes a step on one batch (Foret et al., 2021)."""
    model = Decoder()
    optimizer = adamw(model)
    with Monitor(model, optimizer, vocab_size=V, run_dir=out) as monitor:
        for _ in range(120):
            x, y = batch()
            loss = ce(model(x), y)
            loss.backward()
            parameters = list(model.parameters())
            norm = torch.stack([p.grad.norm() for p in parameters]).norm()
            moves = [p.grad * (0.02 / norm) for p in parameters]
            with torch.no_grad():
                for p, move in zip(parameters, moves, strict=True):
                    p.add_(move)
            optimizer.zero_grad()
            ce(model(x), y).backward()
            with torch.no_grad():
                for p, move in zip(parameters, moves, strict=True):
                    p.sub_(move)
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()


@loop
def gradient_scaler(out):
    model, scaler = Decoder(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = adamw(model)
    with Monitor(model, optimizer, vocab_size=V, run_dir=out) as monitor:
        for _ in range(STEPS):
            x, y = batch()
            loss = ce(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            monitor.step(loss)
            optimizer.zero_grad()


@loop
def autocast_to_bfloat16(out):
    model = Decoder()

    def loss_of(x, y):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return ce(model(x), y)

    train(out, model, loss_of=loss_of)


@loop
def bfloat16_weights_at_a_high_rate(out):
    model = Decoder().bfloat16()
    train(out, model, adamw(model, lr=3e-3))


# ---------------------------------------------------------------------- data


def epochs(rows=60, shuffled=True):
    """Return a function that serves batches of a small data set, in another order each epoch."""
    windows = torch.stack([DATA[37 * row : 37 * row + T + 1] for row in range(rows)])
    queue: list[torch.Tensor] = []

    def batches():
        if not queue:
            order = torch.randperm(rows) if shuffled else torch.arange(rows)
            queue.extend(order.split(B))
        chosen = windows[queue.pop(0)]
        return chosen[:, :-1], chosen[:, 1:]

    return batches


@loop
def several_epochs(out):
    train(out, batches=epochs())


@loop
def read_in_order_as_a_stream(out):
    rows = DATA[: len(DATA) // B * B].view(B, -1)[:, : 40 * T + 1]
    at = [0]

    def batches():
        start = at[0] % (40 * T)
        at[0] += T
        return rows[:, start : start + T], rows[:, start + 1 : start + T + 1]

    train(out, batches=batches)


def documents(rows=B, end=END, pad=PAD):
    """Return padded documents, each with its end, and labels without padding."""
    x = torch.full((rows, T), pad)
    y = torch.full((rows, T), -100)
    for row in range(rows):
        length = random.randint(8, T - 1)
        start = random.randrange(len(DATA) - T)
        text = torch.cat([DATA[start : start + length], torch.tensor([end])])
        x[row, : length + 1] = text
        y[row, :length] = text[1:]
    return x, y


@loop
def padded_documents(out):
    train(out, batches=documents)


@loop
def padded_with_the_end_token(out):
    model = Decoder()
    model.config = SimpleNamespace(pad_token_id=END, eos_token_id=END)
    train(out, model, batches=lambda: documents(pad=END))


@loop
def packed_documents(out):
    def batches():
        x, y = batch()
        x, y = x.clone(), y.clone()
        x[:, 9], y[:, 8] = END, END
        return x, y

    train(out, batches=batches)


@loop
def answers_only(out):
    def batches():
        x, y = batch()
        y = y.clone()
        y[:, : T // 2] = -100
        return x, y

    train(out, batches=batches)


@loop
def curriculum(out):
    seen = [0]

    def batches():
        seen[0] += 1
        return batch(length=8 if seen[0] < 100 else T)

    train(out, batches=batches)


@loop
def masked_words(out):
    model = Decoder()
    model_mask = torch.zeros(T, T)

    def batches():
        x, _ = batch()
        hidden = torch.rand(x.shape) < 0.2
        hidden[:, 0] = True
        return x.masked_fill(hidden, END), x.masked_fill(~hidden, -100)

    train(out, model, batches=batches, loss_of=lambda x, y: ce(model(x, model_mask), y))


@loop
def copies_of_a_pattern(out):
    def batches():
        half = torch.randint(V - 2, (B, T // 2))
        whole = torch.cat([half, half], 1)
        return whole[:, :-1], whole[:, 1:]

    train(out, batches=batches)


# ---------------------------------------------------------------------- fine-tuning


def trained():
    """Return a model that was trained a little."""
    model = Decoder()
    optimizer = adamw(model)
    for _ in range(60):
        x, y = batch()
        ce(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@loop
def fine_tuning(out):
    model = trained()
    train(out, model, adamw(model, lr=3e-4), starts_from="a small model")


@loop
def resumed_with_its_moments(out):
    model = Decoder()
    optimizer = adamw(model)
    for _ in range(60):
        x, y = batch()
        ce(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    train(out, model, optimizer, starts_from="step 60 of the same run")


@loop
def frozen_body(out):
    model = trained()
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    train(out, model, adamw(model), starts_from="a small model", frozen=frozen)


@loop
def new_head_on_a_trained_body(out):
    model = trained()
    model.head = nn.Linear(D, V, bias=False)
    nn.init.normal_(model.head.weight, std=0.02)
    train(out, model, adamw(model), starts_from="a body")


class LoRA(nn.Module):
    """A low-rank adapter (Hu et al., 2021)."""

    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base
        self.a, self.b = (
            nn.Linear(base.in_features, rank, bias=False),
            nn.Linear(rank, base.out_features, bias=False),
        )
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


@loop
def low_rank_adapters(out):
    model = trained()
    model.requires_grad_(False)
    frozen = [name for name, _ in model.named_parameters()]
    for block in model.blocks:
        block.qkv, block.up = LoRA(block.qkv), LoRA(block.up)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    train(out, model, adamw(model), starts_from="a small model", frozen=frozen)


class Prompted(nn.Module):
    """Learned vectors before the tokens of a frozen model (Lester et al., 2021)."""

    def __init__(self, model, length=4):
        super().__init__()
        self.model = model.requires_grad_(False)
        self.prompt = nn.Parameter(torch.randn(length, D) * 0.02)

    def forward(self, x):
        h = self.model.tokens(x) + self.model.places(torch.arange(x.shape[1]))
        h = torch.cat([self.prompt.expand(len(x), -1, -1), h], 1)
        for block in self.model.blocks:
            h = block(h)
        return self.model.head(self.model.norm(h))


@loop
def soft_prompt(out):
    model = Prompted(trained())
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    optimizer = torch.optim.AdamW([model.prompt], lr=0.02, weight_decay=0.0)
    train(
        out,
        model,
        optimizer,
        loss_of=lambda x, y: ce(model(x)[:, 4:], y),
        starts_from="a small model",
        frozen=frozen,
    )


@loop
def distillation(out):
    teacher, model = trained().eval(), Decoder()

    def loss_of(x, y):
        logits = model(x)
        with torch.no_grad():
            soft = teacher(x).softmax(-1)
        return 0.5 * ce(logits, y) - 0.5 * (soft * logits.log_softmax(-1)).sum(-1).mean()

    train(out, model, loss_of=loss_of)


@loop
def preferences(out):
    model = trained()
    reference = copy.deepcopy(model).eval().requires_grad_(False)

    def score(one, x, y):
        return one(x).log_softmax(-1).gather(-1, y[..., None])[..., 0].sum(-1)

    def loss_of(x, y):
        good, bad = (x, y), batch()
        bad = (bad[0], bad[1].flip(1))
        margin = score(model, *good) - score(model, *bad)
        with torch.no_grad():
            margin_before = score(reference, *good) - score(reference, *bad)
        return -F.logsigmoid(0.1 * (margin - margin_before)).mean()

    train(out, model, adamw(model, lr=1e-4), loss_of=loss_of, starts_from="a small model")


@loop
def averaged_weights(out):
    model = Decoder()
    average = copy.deepcopy(model)

    def after(_step, _monitor):
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.05)

    train(out, model, after=after)


@loop
def gradient_checkpointing(out):
    train(out, Decoder(checkpoint=True, dropout=0.1))


@loop
def quick_samples_between_steps(out):
    model = Decoder(dropout=0.1)

    def after(step, _monitor):
        if step % 50 == 49:
            model.eval()
            with torch.no_grad():
                text = torch.zeros(1, 1, dtype=torch.long)
                for _ in range(6):
                    text = torch.cat([text, model(text)[:, -1:].argmax(-1)], 1)
            model.train()

    train(out, model, after=after)


@loop
def recurrent_with_time_first(out):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.core = nn.Embedding(V, D), nn.LSTM(D, D)
            self.head = nn.Linear(D, V)

        def forward(self, x):
            return self.head(self.core(self.tokens(x))[0])

    model = Recurrent()

    def batches():
        x, y = batch()
        return x.T.contiguous(), y.T.contiguous()

    train(out, model, adamw(model, lr=5e-3), batches=batches, clip=1.0)


@loop
def mixture_of_two_experts(out):
    class Mixed(Decoder):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(D, D) for _ in range(2))
            self.gate = nn.Linear(D, 2, bias=False)

        def hidden(self, x, mask=None):
            h = super().hidden(x, mask)
            weights = self.gate(h).softmax(-1)
            return h + sum(weights[..., n : n + 1] * expert(h) for n, expert in enumerate(self.experts))

    train(out, Mixed())


@loop
def early_exit_unused_part(out):
    class Unused(Decoder):
        def __init__(self):
            super().__init__()
            self.pooler = nn.Linear(D, D)

    train(out, Unused())


# ---------------------------------------------------------------------- other libraries


def hugging_face(name, **more):
    """Return a tiny model of transformers."""
    import transformers

    kind = getattr(transformers, name)
    special = {"pad_token_id": PAD, "bos_token_id": END, "eos_token_id": END, "decoder_start_token_id": END}
    return kind(kind.config_class(vocab_size=V, **more, **special)).train()


LLAMA = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


@loop
def transformers_gpt2(out):
    model = hugging_face("GPT2LMHeadModel", n_positions=T, n_embd=D, n_layer=2, n_head=2)
    train(out, model, loss_of=lambda x, _y: model(input_ids=x, labels=x).loss, steps=120)


@loop
def transformers_llama(out):
    model = hugging_face("LlamaForCausalLM", **LLAMA)
    train(out, model, loss_of=lambda x, _y: model(input_ids=x, labels=x).loss, steps=120)


@loop
def transformers_bert_masked(out):
    model = hugging_face("BertForMaskedLM", **LLAMA, max_position_embeddings=T)

    def loss_of(x, _y):
        hidden = torch.rand(x.shape) < 0.2
        hidden[:, 0] = True
        labels = x.masked_fill(~hidden, -100)
        return model(input_ids=x.masked_fill(hidden, END), labels=labels).loss

    train(out, model, loss_of=loss_of, steps=120)


@loop
def transformers_t5(out):
    model = hugging_face("T5ForConditionalGeneration", d_model=D, d_kv=12, d_ff=48, num_layers=1, num_heads=2)
    train(out, model, loss_of=lambda x, y: model(input_ids=x, labels=y[:, :12].contiguous()).loss, steps=120)


def windows(count=64):
    """Return examples of a data set of transformers."""
    return [
        {"input_ids": DATA[s : s + T].tolist(), "labels": DATA[s : s + T].tolist()}
        for s in torch.randint(len(DATA) - T, (count,)).tolist()
    ]


def hugging_face_trainer(out, **arguments):
    """Train with the trainer of transformers."""
    from transformers import Trainer, TrainingArguments

    from minigpt.monitor.integrations.huggingface import StabilityCallback

    model = hugging_face("LlamaForCausalLM", **LLAMA)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            max_steps=40,
            per_device_train_batch_size=B,
            learning_rate=2e-3,
            report_to=[],
            save_strategy="no",
            logging_steps=10,
            disable_tqdm=True,
            use_cpu=True,
            **arguments,
        )
        Trainer(model, settings, train_dataset=windows(), callbacks=[StabilityCallback(out)]).train()


@loop
def transformers_trainer(out):
    hugging_face_trainer(out)


@loop
def transformers_trainer_with_warm_up(out):
    hugging_face_trainer(out, warmup_steps=5, lr_scheduler_type="cosine")


@loop
def transformers_trainer_accumulating(out):
    hugging_face_trainer(out, gradient_accumulation_steps=2)


@loop
def lightning_trainer(out):
    import lightning.pytorch as lightning

    from minigpt.monitor.integrations.lightning import StabilityCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Decoder()

        def training_step(self, pair, _index):
            return ce(self.model(pair[0]), pair[1])

        def configure_optimizers(self):
            return adamw(self.model)

    trainer = lightning.Trainer(
        max_steps=60,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[StabilityCallback(out, vocab_size=V)],
    )
    rows = [tuple(side[0] for side in batch(rows=1)) for _ in range(200)]
    trainer.fit(Module(), torch.utils.data.DataLoader(rows, batch_size=B, shuffle=True))


@loop
def accelerate_loop(out):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = Decoder()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 120)
    rows = [tuple(side[0] for side in batch(rows=1)) for _ in range(300)]
    loader = torch.utils.data.DataLoader(rows, batch_size=B, shuffle=True)
    model, wrapped, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    with Monitor(model, wrapped.optimizer, vocab_size=V, run_dir=out) as monitor:
        for _epoch in range(3):
            for x, y in loader:
                loss = ce(model(x), y)
                accelerator.backward(loss)
                wrapped.step()
                schedule.step()
                wrapped.zero_grad()
                monitor.step(loss)


@loop
def compiled(out):
    model = Decoder(depth=1)
    train(out, torch.compile(model, backend="eager"), adamw(model), steps=60)


# ---------------------------------------------------------------------- the table


def judge(name: str, folder: Path) -> tuple[str, str, float]:
    """Run one loop; return the verdict, the rows that are not healthy, and the seconds it took."""
    random.seed(7)
    torch.manual_seed(7)
    began = time.perf_counter()
    out = folder / name
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            LOOPS[name](out)
        stopped = [str(one.message) for one in caught if "monitor" in str(one.message).lower()]
        walk = check(out, whole=True)
    except ImportError as error:
        return "left out", str(error), time.perf_counter() - began
    said = walk.leaf or walk.verdict.value
    odd = [
        f"{finding.question} {finding.leaf or finding.verdict.value}"
        for finding in walk.findings
        if finding.verdict.value in ("fail", "unknown", "warn")
    ]
    return said, ", ".join(odd + stopped), time.perf_counter() - began


def main() -> int:
    """Run the loops that are named, or all, and print a table."""
    torch.set_num_threads(1)
    asked = sys.argv[1:] or list(LOOPS)
    alarms = left_out = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in asked:
            said, odd, seconds = judge(name, Path(folder))
            left_out += said == "left out"
            alarms += said not in ("pass", "left out")
            print(f"{name:40} {said:22} {seconds:6.1f} s  {odd}", flush=True)
    print(f"{len(asked) - left_out} loops, {alarms} false alarms, {left_out} left out")
    return int(alarms > 1)


if __name__ == "__main__":
    raise SystemExit(main())
