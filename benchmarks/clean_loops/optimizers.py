"""Loops with other optimizers than AdamW, two at once, and two backward passes a step."""

from __future__ import annotations

import torch

from minigpt.monitor import Monitor

from .parts import Decoder, V, adamw, batch, ce, loop, train


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
