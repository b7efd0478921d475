"""Selection: which slots count for a token, out of the weights that it gives them.

A weight below `SHARE` of the token's largest fades out (*soft*, so that a gradient still reaches it) or drops
out (*hard*). Either way the axis is that of the slots: each token chooses for itself, and what it reads does
not depend on other tokens or rows. The earliest public model behind seed 000 took its top-k over batch × time
instead; the fault `memory-batch-selection` takes it over the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHARE = 0.1  # of the largest weight
STEEPNESS = 10.0  # seed 000's: sigmoid(10 · (p − threshold))

Select = Callable[[Tensor], Tensor]


def soft(weights: Tensor) -> Tensor:
    """Return weights (…, slots) faded by a sigmoid of their share of the largest, and normalised again."""
    return _Soft.apply(weights)


def hard(weights: Tensor) -> Tensor:
    """Return weights (…, slots) without those below `SHARE` of the largest, and normalised again."""
    return _normalised(weights * (_shares(weights) >= SHARE))


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.amax(-1, keepdim=True).clamp(min=1e-30)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)


class _Soft(torch.autograd.Function):
    """w · σ(STEEPNESS · (w / max w − SHARE)), normalised, with its gradient written down.

    PyTorch derives the same in three times as many passes over the weights, which are as many as tokens ×
    tokens; that took a twentieth of a training step.
    """

    @staticmethod
    def forward(ctx, weights: Tensor) -> Tensor:
        shares = _shares(weights)
        open_ = torch.sigmoid(STEEPNESS * (shares - SHARE))
        faded = weights * open_
        total = faded.sum(-1, keepdim=True).clamp(min=1e-30)
        chosen = faded / total
        ctx.save_for_backward(shares, open_, total, chosen)
        return chosen

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        shares, open_, total, chosen = ctx.saved_tensors
        faded = (grad - (grad * chosen).sum(-1, keepdim=True)) / total  # the gradient of what is normalised
        opened = faded * (1 - open_) * open_ * shares * STEEPNESS  # through a weight's own share
        largest = shares == 1  # which every share depends on; of equals, each takes its part
        pulled = (opened * shares).sum(-1, keepdim=True) / largest.sum(-1, keepdim=True).clamp(min=1)
        return faded * open_ + opened - largest * pulled


SELECTIONS: dict[str, Select] = {"soft": soft, "hard": hard}
