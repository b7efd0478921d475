"""The loss: mean cross-entropy over the targets that count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats over the positions where `mask` is true.

    Args:
        logits: (B, T, V) scores.
        targets: (B, T) token ids, already shifted: `targets[:, t]` is the token after `inputs[:, t]`.
        mask: (B, T) booleans. With none true the loss is 0, and so is its gradient.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")  # (B·T,)
    counted = mask.flatten()
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)
