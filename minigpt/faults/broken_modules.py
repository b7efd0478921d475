"""Modules that the faults of the dynamics put into a model; here, for they need torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DetachedGate(nn.Module):
    """Scales each channel by a gate that no gradient ever reaches."""

    def __init__(self, inner: nn.Module, n_embd: int):
        super().__init__()
        self.inner = inner
        self.gate = nn.Parameter(torch.ones(n_embd))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.gate.detach()


class CarriesOver(nn.Module):
    """Adds the mean of the batch before, which nobody resets: in evaluation too."""

    def __init__(self, inner: nn.Module, share: float):
        super().__init__()
        self.inner, self.share = inner, share
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(x)
        carried = found if self.last is None else found + self.share * self.last
        self.last = found.detach().mean((0, 1))
        return carried
