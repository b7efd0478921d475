"""Signs that what a loss compares is out of order: targets of other rows, logits of other tokens."""

from __future__ import annotations

from torch import Tensor

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


def unbalanced(gradient: Tensor) -> float:
    """Return the mean sum of gradients, (n, V), in their sizes."""
    gradient = gradient.float()
    return float((gradient.sum(-1).abs() / gradient.abs().sum(-1).clamp(min=1e-30)).mean())
