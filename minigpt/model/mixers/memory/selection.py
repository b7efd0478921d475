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

SHARE = 0.1  # of the largest weight
STEEPNESS = 10.0  # seed 000's: sigmoid(10 · (p − threshold))

Select = Callable[[Tensor], Tensor]


def soft(weights: Tensor) -> Tensor:
    """Return weights (…, slots) faded by a sigmoid of their share of the largest, and normalised again."""
    return _normalised(weights * torch.sigmoid(STEEPNESS * (_shares(weights) - SHARE)))


def hard(weights: Tensor) -> Tensor:
    """Return weights (…, slots) without those below `SHARE` of the largest, and normalised again."""
    return _normalised(weights * (_shares(weights) >= SHARE))


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.amax(-1, keepdim=True).clamp(min=1e-30)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)


SELECTIONS: dict[str, Select] = {"soft": soft, "hard": hard}
