"""Which units of the feed-forwards take part, and how many directions a block's output has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.training.instruments.quiet import quietly

SILENT = 1e-3  # of the largest activation of its layer: below on every row, a unit is inactive


def units(model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    """Return by block the share of hidden units that are never active, and the effective rank ÷ the width.

    The hidden units are what the feed-forward's last linear layer is given. The effective rank is the
    exponential of the entropy of the singular values (Roy & Vetterli, 2007).
    """
    hidden: list[Tensor] = []
    left: list[Tensor] = []
    handles = []
    for block in getattr(model, "h", ()):
        projection = getattr(getattr(block, "mlp", None), "c_proj", None)
        if isinstance(projection, nn.Linear):
            handles.append(projection.register_forward_pre_hook(lambda _, given: hidden.append(given[0])))
            handles.append(block.register_forward_hook(lambda _, given, output: left.append(output)))
    try:
        if handles:
            quietly(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not hidden:
        return {}
    return {"inactive": [_inactive(layer) for layer in hidden], "rank": [_rank(output) for output in left]}


def _inactive(activations: Tensor) -> float:
    largest = activations.detach().abs().flatten(0, -2).amax(0)  # (units,)
    return (largest <= SILENT * largest.max()).float().mean().item()


def _rank(output: Tensor) -> float:
    rows = output.detach().float().flatten(0, -2)  # (B·T, C)
    values = torch.linalg.eigvalsh(rows.T @ rows).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return (entropy.exp() / len(shares)).item()
