"""Loops in half precision, and with a gradient scaler."""

from __future__ import annotations

import torch
from torch import nn

from minigpt.monitor import Monitor

from .parts import STEPS, Decoder, V, adamw, batch, ce, loop, train


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
