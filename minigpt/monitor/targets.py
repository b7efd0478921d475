"""What a loss scored, and with what weight, read off the gradient of the logits.

For a cross-entropy the gradient of one position is w · (p − onehot(target)): it is negative at the target
alone, zero where the position does not count, and w = −gradient[target] / (1 − p[target]) is the weight that
the position has in the loss. A mean over n targets gives each 1/n, a sum 1, and k micro-batches that are not
divided weigh k in all. So one backward pass tells targets, mask, reduction and accumulation of any loop.

`loss_kinds` tells what kind of loss it is; of another one than a cross-entropy nothing is concluded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minigpt.monitor.disorder import last_asked, of_other_rows, of_tokens_before, unbalanced
from minigpt.runs.schema import OFFSETS
from minigpt.training.instruments.loss_kinds import (
    CLIPPED,
    FOLLOWS,
    LOGITS,
    PROBABILITIES,
    RAW,
    SCRAMBLED,
    SQUASHED,
    follows,
    follows_cross_entropy,
    kind_of_loss,
    near,
)

EQUAL_COUNTS = 1.02  # micro-batches whose numbers of targets differ by less cannot be told apart
SAMPLED = 1024  # positions that are looked at whole: all of them would take as much memory as the logits
ROUNDING = 1e-6  # nats below which a probability is 1
CERTAIN = 0.9  # share of targets that fit an offset when it is the one
BALANCED = 1e-3  # a cross-entropy takes from one token what it gives another: their sum, in their sizes
UNBALANCED = 0.02
IMPOSSIBLE = -1e4  # a logit below belongs to no token: rows that fill a vocabulary up may be masked so


@dataclass(frozen=True)
class Scored:
    """One micro-batch as its loss saw it."""

    counted: int  # positions with a gradient
    weight: float | None  # of one position
    nats: float | None  # mean cross-entropy of the positions that count
    classes: int  # tokens that a logit was made for
    sample: Tensor  # (n,) targets of the positions that were looked at whole
    rows: int = 0  # this and what follows only where every token has its logits
    length: int = 0
    mask: Tensor | None = None  # (B, T), the positions with a gradient
    targets: frozenset[int] = frozenset()
    aligned: dict[str, tuple[int, int]] | None = None  # by offset: targets that are the input there, compared
    certain: int = 0  # positions without a gradient where the model is all but certain, right or not
    given: str = LOGITS  # what the loss took for logits
    time_first: bool = False  # rows are positions: (T, B)
    other_rows: bool = False  # targets are the next tokens of other rows
    before: bool = False  # targets are the tokens just before
    spread: float | None = None  # share of what targets ask for that is spread evenly over all tokens
    last_asked: Tensor | None = None  # (B,), the last token that is asked for, where a prefix is no token


@torch.no_grad()
def read_gradient(ids: Tensor | None, logits: Tensor, gradient: Tensor, scale: float = 1.0) -> Scored | None:
    """Return what the loss scored in one micro-batch; None where it is no cross-entropy of these logits.

    Args:
        ids: (B, T) tokens that the model was given, if they are known.
        logits: (..., V), and its `gradient`, of the same shape.
        scale: factor on the loss, as a gradient scaler puts on it; negative where it is maximised.
    """
    V, shape = logits.shape[-1], logits.shape
    if V < 2:  # one number, and nothing to choose from
        return None
    logits, gradient = logits.detach().reshape(-1, V), gradient.detach().reshape(-1, V)  # (N, V)
    lowest, targets = gradient.min(-1) if scale > 0 else gradient.max(-1)  # (N,) each
    if not torch.isfinite(lowest).all():
        return None
    counted = lowest * scale < 0  # (N,)
    at = counted.nonzero()[:, 0]  # (n,)
    at = at[:: max(len(at) // SAMPLED, 1)][:SAMPLED]
    sample = targets[at]
    if len(at) and unbalanced(gradient[at]) > UNBALANCED:
        if _is_scrambled(logits.view(shape), gradient.view(shape) / scale):
            return Scored(int(counted.sum()), None, None, V, sample, given=SCRAMBLED)
    kind = kind_of_loss(logits[at].float(), gradient[at].float() / scale, sample, int(counted.sum()))
    if kind is None:
        return None
    scored = {
        "counted": int(counted.sum()),
        "weight": kind.weights.mean().item() if len(kind.weights) else None,
        "nats": kind.nats.mean().item() if len(kind.nats) else None,
        "classes": int((logits[0] > IMPOSSIBLE).sum()),
        "sample": sample,
        "given": kind.given,
        "spread": kind.spread,
        "certain": _certain(logits[~counted]) if kind.given == LOGITS else 0,
    }
    if ids is None or ids.ndim != 2 or not ids.numel():
        return Scored(**scored)
    mask, targets, whole = _as_tokens(counted, shape, ids), _as_tokens(targets, shape, ids), targets
    if mask is None:
        return Scored(**scored)
    aligned, time_first = _aligned(ids, mask, targets), False
    if _best(aligned) < CERTAIN:
        turned = _aligned(ids.T, mask.T, targets.T)  # (T, B), as recurrent models take it
        if _best(turned) >= CERTAIN:
            aligned, time_first, ids, mask, targets = turned, True, ids.T, mask.T, targets.T
    seen = frozenset(targets[mask].unique().tolist())
    last = None
    if len(whole) > ids.numel():  # behind a prefix
        last = last_asked(ids, counted.view(shape[:2]), whole.view(shape[:2]))
    return Scored(
        **scored,
        rows=len(ids),
        length=ids.shape[1],
        mask=mask,
        targets=seen,
        aligned=aligned,
        time_first=time_first,
        last_asked=last,
        other_rows=_best(aligned) < CERTAIN and of_other_rows(ids, mask, targets),
        before=_best(aligned) < CERTAIN and of_tokens_before(ids, mask, targets),
    )


def _is_scrambled(logits: Tensor, gradient: Tensor) -> bool:
    """Return whether a cross-entropy read logits, (B, T, V), in an order that mixes tokens and positions.

    So does a view where a transpose belongs: (B, V, T) seen as rows of V, or (B, T, V) as (B, V, T).
    """
    if logits.ndim != 3:
        return False
    B, T, V = logits.shape
    for turn in (
        lambda x: x.transpose(1, 2).reshape(-1, V),
        lambda x: x.reshape(B, V, T).transpose(1, 2).reshape(-1, V),
    ):
        rows, pulls = turn(logits)[:SAMPLED].float(), turn(gradient)[:SAMPLED].float()
        counted = pulls.any(-1)
        rows, pulls = rows[counted], pulls[counted]
        if not len(rows):
            return False
        if unbalanced(pulls) < BALANCED and follows_cross_entropy(
            rows.log_softmax(-1), pulls, pulls.argmin(-1)
        ):
            return True
    return False


def _as_tokens(values: Tensor, shape: torch.Size, ids: Tensor) -> Tensor | None:
    """Return what belongs to each logit, (N,), as (B, T), without a prefix that is no token."""
    if values.numel() == ids.numel():
        return values.view_as(ids)
    if len(shape) != 3 or shape[0] != len(ids) or shape[1] <= ids.shape[1]:
        return None
    return values.view(shape[:2])[:, shape[1] - ids.shape[1] :]  # an image or a soft prompt comes first


def _aligned(ids: Tensor, mask: Tensor, targets: Tensor) -> dict[str, tuple[int, int]]:
    """Return by offset how many targets are the input there, and how many were compared; (B, T) each."""
    aligned = {}
    for offset in OFFSETS:
        here = mask[:, : ids.shape[1] - offset]
        same = (targets[:, : ids.shape[1] - offset] == ids[:, offset:]) & here
        aligned[str(offset)] = (int(same.sum()), int(here.sum()))
    return aligned


def _certain(logits: Tensor) -> int:
    """Return at how many positions, (n, V), one token has all of the probability, so that nothing is left."""
    return int((logits.float().log_softmax(-1).amax(-1) > -ROUNDING).sum()) if len(logits) else 0


def _best(aligned: dict[str, tuple[int, int]]) -> float:
    return max(same / max(compared, 1) for same, compared in aligned.values())


@torch.no_grad()
def is_negated(logits: Tensor, gradient: Tensor, scale: float = 1.0) -> bool:
    """Return whether the loss is a cross-entropy with the wrong sign, which an update makes larger.

    Every position must say so, and weigh the same: preferences and rewards push some tokens down on purpose.
    Arguments as in `read_gradient`.
    """
    V = logits.shape[-1]
    logits, gradient = logits.detach().reshape(-1, V), gradient.detach().reshape(-1, V) / -scale  # (N, V)
    at = gradient.any(-1).nonzero()[:, 0]  # (n,)
    at = at[:: max(len(at) // SAMPLED, 1)][:SAMPLED]
    if not len(at):
        return False
    log_p, gradient = logits[at].float().log_softmax(-1), gradient[at].float()  # (n, V) each
    lowest, targets = gradient.min(-1)
    weights = -lowest / (1 - log_p.gather(-1, targets[:, None])[:, 0].exp())
    alike = weights.min() > 0 and near(weights.max().item(), weights.min().item())
    return alike and follows(log_p, gradient, targets).min().item() > FOLLOWS


def start_evidence(micros: list[Scored]) -> dict[str, Any]:
    """Return what section 1 of the tree asks, of the micro-batches of the first step."""
    evidence: dict[str, Any] = {"loss_given": micros[0].given}
    if micros[0].given in (PROBABILITIES, SQUASHED, RAW, SCRAMBLED, CLIPPED):
        return evidence
    if (kind := _reduction(micros)) is not None:
        evidence["duplicate_batch_ratio"] = 2.0 if kind == "sum" else 1.0
    if spreads := [micro.spread for micro in micros if micro.spread is not None]:
        evidence["target_spread"] = sum(spreads) / len(spreads)
    if any(micro.aligned is None for micro in micros):
        return evidence
    shares = {}
    for offset in map(str, OFFSETS):
        same, compared = (sum(micro.aligned[offset][i] for micro in micros) for i in (0, 1))
        shares[offset] = same / max(compared, 1)
    counted = sum(micro.counted for micro in micros)
    if all(micro.other_rows for micro in micros):
        evidence["targets_of_other_rows"] = True
    if all(micro.before for micro in micros):
        evidence["targets_before"] = True
    return evidence | {
        "unmasked_share": counted / sum(micro.rows * micro.length for micro in micros),
        "distinct_targets": len(frozenset().union(*(micro.targets for micro in micros))),
        "target_offset_share": shares,
    }


def mean_nats(scored: list[Scored]) -> float | None:
    """Return the mean cross-entropy of all positions that count, None where there is none."""
    known = [(micro.nats, micro.counted) for micro in scored if micro.nats is not None]
    counted = sum(count for _, count in known)
    return sum(nats * count for nats, count in known) / counted if counted else None


def accumulation_ratio(micros: list[Scored]) -> dict[str, float | None]:
    """Return the gradient of two micro-batches ÷ that of the whole, with equal and unequal masks.

    None where there is one micro-batch a step, or its weight is neither that of a mean nor of a sum of means;
    for unequal masks also where all count the same number of targets.
    """
    kind = _reduction(micros) if len(micros) > 1 else None
    if kind == "undivided":
        return {"equal": 2.0, "unequal": 2.0}
    if kind != "mean":
        return {"equal": None, "unequal": None}
    counts = [micro.counted for micro in micros]
    weights = [micro.weight for micro in micros]
    spread, asked = max(weights) / min(weights), max(counts) / min(counts)
    if asked <= EQUAL_COUNTS:
        return {"equal": 1.0, "unequal": None}
    each_alike = abs(spread / asked - 1) < 0.3 * (1 - 1 / asked)
    return {"equal": 1.0, "unequal": spread if each_alike else 1.0}


def _reduction(micros: list[Scored]) -> str | None:
    """Return how the losses of a step are reduced: "mean", "undivided" (a mean each), "sum", or None."""
    # what a model is certain of has no gradient, and counts in a mean all the same
    counts = [micro.counted + micro.certain for micro in micros]
    weights = [
        count * micro.weight
        for count, micro in zip(counts, micros, strict=True)
        if micro.weight and micro.weight > 0
    ]
    if len(weights) < len(micros):
        return None
    total, k = sum(weights), len(micros)
    if near(total, 1):
        return "mean"
    if k > 1 and near(total, k):
        return "undivided"
    # a sum over every target, over the rows only, or over the positions only, divided by k or not
    first = micros[0]
    sums = [size / part for size in (first.counted, first.rows, first.length) for part in (1, k)]
    return "sum" if any(size > 1 and near(weights[0], size) for size in sums) else None
