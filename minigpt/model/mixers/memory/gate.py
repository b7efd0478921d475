"""The gate: how much of the present, of the short term and of the long term a token takes.

*softmax* of z / temperature lets the largest logit take all: it can collapse to one source as logits grow.
*sigmoid* is seed 000's cure: sigmoid(z / temperature), divided by the sum. It bounds what one source can gain
on another only while the others' logits stay above −temperature: both sides are trained, so it can collapse
as well. A temperature above 1 keeps the entropy higher than either (`benchmarks/dynamics.py gate`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SOURCES = ("present", "short term", "long term")
COLLAPSED = 0.95  # a weight above this leaves the other sources next to nothing


class Gate(nn.Module):
    """Weights (B, T, 3), which add up to 1 over the sources that have something to give."""

    def __init__(self, width: int, kind: str, temperature: float):
        super().__init__()
        self.kind, self.temperature = kind, temperature
        self.c_gate = nn.Linear(width, len(SOURCES))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Weigh the sources for x (B, T, C); `there` (B, T, 3) says which have anything to give."""
        logits = self.c_gate(x) / self.temperature
        if self.kind == "softmax":
            return logits.masked_fill(~there, torch.finfo(logits.dtype).min).softmax(-1)
        # a sum of tiny sigmoids can underflow; the softmax of their logarithms is the same ratio
        logs = nn.functional.logsigmoid(logits).masked_fill(~there, torch.finfo(logits.dtype).min)
        return logs.softmax(-1)


def entropy(weights: Tensor, there: Tensor) -> float:
    """Return the mean entropy of the gate ÷ ln (sources there), 1 for even weights, where there is a choice.

    Args:
        weights: (…, 3), 0 where a source has nothing to give.
        there: (…, 3).
    """
    choices = there.sum(-1)
    some = choices > 1
    nats = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
    return (nats[some] / choices[some].log()).mean().item() if some.any() else math.nan


def one_takes_all(weights: Tensor, there: Tensor) -> float:
    """Return the share of the tokens with a choice at which one source has more than `COLLAPSED`."""
    some = there.sum(-1) > 1
    return (weights[some].amax(-1) > COLLAPSED).float().mean().item() if some.any() else math.nan
