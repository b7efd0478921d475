"""What a loss scored, and with what weight, read off the gradient of the logits.

For a cross-entropy the gradient of one position is w · (p − onehot(target)): it is negative at the target
alone, zero where the position does not count, and w = −gradient[target] / (1 − p[target]) is the weight that
the position has in the loss. A mean over n targets gives each 1/n, a sum 1, and k micro-batches that are not
divided weigh k in all. So one backward pass tells targets, mask, reduction and accumulation of any loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

OFFSETS = (0, 1, 2, 3)  # 1 is right: the target of position t is the token at t + 1
NEAR = math.log(1.25)  # two weights count as the same up to this; label smoothing takes about a tenth
SURE = 0.999  # a target that is all but certain leaves no gradient to measure its weight by
EQUAL_COUNTS = 1.02  # micro-batches whose numbers of targets differ by less cannot be told apart


@dataclass(frozen=True)
class Scored:
    """One micro-batch as its loss saw it."""

    rows: int
    length: int
    counted: int  # positions with a gradient
    targets: frozenset[int]
    aligned: dict[str, tuple[int, int]]  # by offset: targets that are the input there, and those compared
    weight: float | None  # of one position
    nats: float | None  # mean cross-entropy of the positions that count


@torch.no_grad()
def read_gradient(ids: Tensor, logits: Tensor, gradient: Tensor, scale: float = 1.0) -> Scored | None:
    """Return what the loss scored in one micro-batch; None where shapes do not fit or figures overflowed.

    Args:
        ids: (B, T) tokens that the model was given.
        logits: (B, T, V) or (B·T, V), and its `gradient`, of the same shape.
        scale: factor on the loss, as a gradient scaler puts on it.
    """
    B, T = ids.shape
    if logits.numel() != B * T * logits.shape[-1] or not torch.isfinite(gradient).all():
        return None
    logits, gradient = (part.detach().reshape(B, T, -1) for part in (logits, gradient))  # (B, T, V)
    counted = (gradient != 0).any(-1)  # (B, T)
    targets = gradient.argmin(-1)  # (B, T)
    aligned = {}
    for offset in OFFSETS:
        here = counted[:, : T - offset]
        same = (targets[:, : T - offset] == ids[:, offset:]) & here
        aligned[str(offset)] = (int(same.sum()), int(here.sum()))
    log_p = logits[counted].float().log_softmax(-1)  # (n, V)
    log_p = log_p.gather(-1, targets[counted][:, None])[:, 0]  # (n,)
    pull = -gradient[counted].gather(-1, targets[counted][:, None])[:, 0].float() / scale  # (n,)
    unsure = log_p.exp() < SURE
    weights = (pull / (1 - log_p.exp()))[unsure]
    return Scored(
        rows=B,
        length=T,
        counted=int(counted.sum()),
        targets=frozenset(targets[counted].unique().tolist()),
        aligned=aligned,
        weight=weights.mean().item() if len(weights) else None,
        nats=-log_p.mean().item() if len(log_p) else None,
    )


def start_evidence(micros: list[Scored]) -> dict[str, Any]:
    """Return what section 1 of the tree asks, of the micro-batches of the first step."""
    counted = sum(micro.counted for micro in micros)
    shares = {}
    for offset in map(str, OFFSETS):
        same, compared = (sum(micro.aligned[offset][i] for micro in micros) for i in (0, 1))
        shares[offset] = same / max(compared, 1)
    evidence = {
        "unmasked_share": counted / sum(micro.rows * micro.length for micro in micros),
        "distinct_targets": len(frozenset().union(*(micro.targets for micro in micros))),
        "target_offset_share": shares,
    }
    if (kind := _reduction(micros)) is not None:
        evidence["duplicate_batch_ratio"] = 2.0 if kind == "sum" else 1.0
    return evidence


def accumulation_ratio(micros: list[Scored]) -> dict[str, float | None]:
    """Return the gradient of two micro-batches ÷ that of the whole, with equal and unequal masks.

    None where there is one micro-batch a step, or its weight is neither that of a mean nor of a sum of means.
    """
    kind = _reduction(micros) if len(micros) > 1 else None
    if kind == "undivided":
        return {"equal": 2.0, "unequal": 2.0}
    if kind != "mean":
        return {"equal": None, "unequal": None}
    counts = [micro.counted for micro in micros]
    weights = [micro.weight for micro in micros]
    spread, asked = max(weights) / min(weights), max(counts) / min(counts)
    each_alike = asked > EQUAL_COUNTS and abs(spread / asked - 1) < 0.3 * (1 - 1 / asked)
    return {"equal": 1.0, "unequal": spread if each_alike else 1.0}


def _reduction(micros: list[Scored]) -> str | None:
    """Return how the losses of a step are reduced: "mean", "undivided" (a mean each), "sum", or None."""
    weights = [micro.counted * micro.weight for micro in micros if micro.weight and micro.weight > 0]
    if len(weights) < len(micros):
        return None
    total, k = sum(weights), len(micros)
    if _near(total, 1):
        return "mean"
    if k > 1 and _near(total, k):
        return "undivided"
    # a sum over every target, over the rows only, or over the positions only, divided by k or not
    first = micros[0]
    sums = [size / part for size in (first.counted, first.rows, first.length) for part in (1, k)]
    return "sum" if any(size > 1 and _near(weights[0], size) for size in sums) else None


def _near(one: float, other: float) -> bool:
    return abs(math.log(one / other)) < NEAR
