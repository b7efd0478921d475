"""Modules that faults put into a model; here, for they need torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


class AlwaysDrops(nn.Module):
    """Dropout as a function call, which nobody tells that the model is evaluated."""

    def __init__(self, inner: nn.Module, share: float):
        super().__init__()
        self.inner, self.share = inner, share

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.inner(x), self.share)


class InAList(nn.Module):
    """Keeps its layers in a plain list: they run and learn nothing, for no optimizer hears of them."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = [*layers]

    def forward(self, x: Tensor, *state: object) -> Tensor:
        for layer in self.layers:
            x = layer.to(x.device)(x, *state)
        return x
