"""What the sound loops are made of: a text, a small decoder, an optimizer, and the plainest way to train."""

from __future__ import annotations

import argparse
import copy
import inspect
import random
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

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
