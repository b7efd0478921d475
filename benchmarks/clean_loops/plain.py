"""Loops as tutorials write them: optimizers by default, batch shapes, dropout, clipping, losses."""

from __future__ import annotations

import copy
import random

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.monitor import Monitor

from .parts import STEPS, D, Decoder, V, adamw, batch, ce, evaluate_every, loop, train


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
