"""The loss: mean cross-entropy over the targets that count, and the z-loss where a config asks for it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor, z_loss: float = 0.0) -> Tensor:
    """Return the mean of −ln p(target) + z_loss · ln² Z, in nats, over the positions where `mask` is true.

    The z-loss (Chowdhery et al., 2022, section 5) pulls ln Z = logsumexp(logits) towards 0; cross-entropy
    alone does not notice when all logits of a position drift together.

    Args:
        logits: (B, T, V) scores.
        targets: (B, T) token ids, already shifted: `targets[:, t]` is the token after `inputs[:, t]`.
        mask: (B, T) booleans. With none true the loss is 0, and so is its gradient.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")  # (B·T,)
    if z_loss:
        # −ln p(target) = ln Z − logit(target), so that ln Z costs no second pass over the vocabulary
        log_z = losses + logits.gather(-1, targets[..., None]).flatten().type_as(losses)
        losses = losses + z_loss * log_z.square()
    counted = mask.flatten()
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)
