"""Signs that what a loss compares is out of order: targets of other rows, logits of other tokens."""

from __future__ import annotations

import torch
from torch import Tensor

FURTHEST = 4096  # places of a prefix that is no token
LOOKED_AT = 4  # rows whose targets are sought in others
SAME = 0.9  # share of a row's targets that are found in another


def of_other_rows(ids: Tensor, mask: Tensor, targets: Tensor) -> bool:
    """Return whether the targets of each row, (B, T), are the next tokens of another one."""
    found = []
    for row in range(min(len(ids), LOOKED_AT)):
        here = mask[row, :-1]
        same = ((targets[row, :-1] == ids[:, 1:]) & here).sum(-1) / here.sum().clamp(min=1)  # (B,)
        found.append(bool(here.sum() >= LOOKED_AT and same.max() >= SAME))
    return len(ids) > 1 and all(found)


def of_tokens_before(ids: Tensor, mask: Tensor, targets: Tensor) -> bool:
    """Return whether the targets, (B, T), are the tokens just before, which a model has read already."""
    here = mask[:, 1:]
    same = (targets[:, 1:] == ids[:, :-1]) & here
    return int(here.sum()) >= LOOKED_AT and int(same.sum()) >= SAME * int(here.sum())


def last_asked(ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor | None:
    """Return which token of each row, (B, T), is the last that its targets, (B, P + T), ask for; (B,).

    With a prefix of P places that are no tokens, targets that are tokens of their row are sought at any
    distance from their places.

    Returns:
        None where no one distance fits the targets.
    """
    T, prefix = ids.shape[1], mask.shape[1] - ids.shape[1]
    places = torch.arange(mask.shape[1], device=ids.device)
    counted = int(mask.sum())
    for distance in sorted(range(min(prefix, FURTHEST) + LOOKED_AT), key=lambda d: abs(d - 1)):
        at = places - prefix + distance
        inside = (at >= 0) & (at < T)
        here = mask[:, inside]
        same = int(((ids[:, at[inside]] == targets[:, inside]) & here).sum())
        if same and same >= SAME * counted:
            return at.where(mask, -1).amax(-1)
    return None


def unbalanced(gradient: Tensor) -> float:
    """Return the mean sum of gradients, (n, V), in their sizes."""
    gradient = gradient.float()
    return float((gradient.sum(-1).abs() / gradient.abs().sum(-1).clamp(min=1e-30)).mean())
