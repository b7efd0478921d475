"""Loops whose learning rate changes, each in another way."""

from __future__ import annotations

import torch

from .parts import STEPS, Decoder, adamw, loop, train


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
