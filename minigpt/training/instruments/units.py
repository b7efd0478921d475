"""Which units of the feed-forwards take part, and how many directions a block's output has."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.training.instruments.quiet import quietly

SILENT = 1e-3  # of the largest activation of its layer: below on every row, a unit is inactive


def units(model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    """Return by block the share of hidden units that are never active, and the effective rank ÷ the width.

    The hidden units are what the feed-forward's last linear layer is given. The effective rank is the
    exponential of the entropy of the singular values (Roy & Vetterli, 2007); NaN if it is not finite.
    """
    with UnitsReader(model) as reader:
        quietly(model, inputs)
    return reader.found()


class UnitsReader:
    """Inside this context it reads every pass of the model; hooks are there no longer."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._hidden: list[Tensor] = []
        self._left: list[Tensor] = []
        self._handles: list[Any] = []

    def __enter__(self) -> UnitsReader:
        hidden, left = self._hidden, self._left
        for block in getattr(self._model, "h", ()):
            projection = getattr(getattr(block, "mlp", None), "c_proj", None)
            if isinstance(projection, nn.Linear):
                self._handles += [
                    projection.register_forward_pre_hook(lambda _, given: hidden.append(given[0])),
                    block.register_forward_hook(lambda _, given, output: left.append(output)),
                ]
        return self

    def __exit__(self, *_error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def found(self) -> dict[str, list[float]]:
        """Return `inactive` and `rank` by block; empty where there is no such feed-forward."""
        if not self._hidden:
            return {}
        return {
            "inactive": [_inactive(layer) for layer in self._hidden],
            "rank": [_rank(output) for output in self._left],
        }


def _inactive(activations: Tensor) -> float:
    largest = activations.detach().abs().flatten(0, -2).amax(0)  # (units,)
    return (largest <= SILENT * largest.max()).float().mean().item()


def _rank(output: Tensor) -> float:
    rows = output.detach().float().flatten(0, -2)  # (B·T, C)
    largest = rows.abs().max()
    if not torch.isfinite(largest):
        return math.nan
    rows = rows / largest.clamp(min=1e-30)  # the rank stays as it is, and the squares stay finite
    try:
        values = torch.linalg.eigvalsh(rows.T @ rows).clamp(min=0).sqrt()
    except torch.linalg.LinAlgError:  # no eigenvalues found: an instrument must not end a run
        return math.nan
    shares = values / values.sum().clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return (entropy.exp() / len(shares)).item()
