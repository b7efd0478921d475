"""Homeostasis: each channel is scaled so that its mean activity moves towards a target.

After each step  scale ← scale · (target / mean)^(1/τ),  with `mean` the average of |activity| over the last τ
steps. Two details decide whether this is a thermostat or an oscillator:

* The exponent. The mean answers τ steps late. A scale that makes up the whole difference at every step goes
  on growing for those τ steps; the exponent 1/τ makes up one τ-th.
* The start. A running mean that starts at 0 is too small by 1 − (1 − 1/τ)^t after t steps, and the scale
  grows to make up for it. The mean is divided by that factor, as Adam's moments are.

Without either, scales run into their clamp and stay there, a *windup* (Åström & Hägglund, 1995): the fault
`homeostasis-windup`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMITS = (0.1, 10.0)  # of a scale


class Homeostasis(nn.Module):
    """Scales (C,) and the running mean that moves them. Changed by `commit` alone."""

    def __init__(self, width: int, target: float, tau: float):
        super().__init__()
        self.target, self.tau = target, tau
        self.exponent, self.corrected = 1.0 / tau, True
        self.scale, self.mean = torch.ones(width), torch.zeros(width)
        self.steps = torch.zeros((), dtype=torch.long)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (…, C), scaled."""
        return x * self.scale

    def commit(self, activity: Tensor) -> None:
        """Take the mean |activity| (C,) of a step, measured behind the scales."""
        self.mean = self.mean + (activity - self.mean) / self.tau
        self.steps = self.steps + 1
        mean = (
            self.mean / (1 - (1 - 1 / self.tau) ** int(self.steps))
            if self.corrected and self.tau > 1
            else self.mean
        )
        ratio = (self.target / mean.clamp(min=1e-12)) ** self.exponent
        self.scale = (self.scale * ratio).clamp(*LIMITS)

    def clamped(self) -> float:
        """Return the share of the scales at their clamp."""
        low, high = LIMITS
        return ((self.scale <= low) | (self.scale >= high)).float().mean().item()
