"""Loops that start from a trained model: adapters, prompts, distillation, preferences."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from .parts import D, Decoder, V, adamw, batch, ce, loop, train, trained


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
