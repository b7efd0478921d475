"""Homeostasis: each channel of the residual stream is scaled until its mean activity is at a target.

After each step  scale ← scale · (target / mean)^(1/τ),  with `mean` the average of |activity| over the last τ
steps. Two details decide whether this is a thermostat or an oscillator:

* The exponent. The mean answers τ steps late. A scale that makes up the whole difference at every step goes
  on growing for those τ steps; the exponent 1/τ makes up one τ-th.
* The start. A running mean that starts at 0 is too small by 1 − (1 − 1/τ)^t after t steps, and the scale
  grows to make up for it. The mean is divided by that factor, as Adam's moments are.

Without either, scales run into their clamp and stay there, a *windup* (Åström & Hägglund, 1995): the fault
`homeostasis-windup`. Where they can leave it again, in several layers without a norm behind them, they swing
from clamp to clamp together, and the loss with them (`benchmarks/dynamics.py oscillation`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from minigpt.config import Config

LIMITS = (0.1, 10.0)  # of a scale


class Homeostasis(nn.Module):
    """Scales (C,) behind a block, and the running mean that moves them. Changed by `commit_memory` alone."""

    def __init__(self, config: Config):
        super().__init__()
        width, tau = config.n_embd, config.homeostasis_tau
        self.target, self.tau = config.homeostasis_target, tau
        self.exponent, self.corrected = 1.0 / tau, True
        self.scale, self.mean = torch.ones(width), torch.zeros(width)
        self.steps = torch.zeros((), dtype=torch.long)
        self.staged: list[Tensor] = []  # mean |activity| (C,) of the forward passes of a step

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, T, C), scaled."""
        x = x * self.scale
        if self.training:
            self.staged.append(x.detach().abs().mean((0, 1)).float())
        return x

    def commit_memory(self, step: int, gather: Callable[[Tensor], Tensor]) -> None:
        """Move the scales by what the forward passes of a step have measured behind them."""
        parts, self.staged = self.staged, []
        if parts:
            self.move(torch.cat([gather(part[None]) for part in parts]).mean(0))

    def move(self, activity: Tensor) -> None:
        """Take the mean |activity| (C,) of a step."""
        self.mean = self.mean + (activity - self.mean) / self.tau
        self.steps = self.steps + 1
        mean = (
            self.mean / (1 - (1 - 1 / self.tau) ** int(self.steps))
            if self.corrected and self.tau > 1
            else self.mean
        )
        ratio = (self.target / mean.clamp(min=1e-12)) ** self.exponent
        self.scale = (self.scale * ratio).clamp(*LIMITS)

    def memory_state(self) -> dict[str, Tensor]:
        """Return the scales, the running mean and the steps that it has seen."""
        return {"scale": self.scale, "mean": self.mean, "steps": self.steps}

    def load_memory_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `memory_state` returned."""
        self.staged = []
        for name in self.memory_state():
            setattr(self, name, state[name].to(self.scale.device))

    def _apply(self, move: Callable[[Tensor], Tensor], recurse: bool = True) -> Homeostasis:
        super()._apply(move, recurse)
        self.scale, self.mean = move(self.scale), move(self.mean)
        return self

    def clamped(self) -> float:
        """Return the share of the scales at their clamp."""
        low, high = LIMITS
        return ((self.scale <= low) | (self.scale >= high)).float().mean().item()
