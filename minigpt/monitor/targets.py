"""What a loss scored, and with what weight, read off the gradient of the logits.

For a cross-entropy the gradient of one position is w · (p − onehot(target)): it is negative at the target
alone, zero where the position does not count, and w = −gradient[target] / (1 − p[target]) is the weight that
the position has in the loss. A mean over n targets gives each 1/n, a sum 1, and k micro-batches that are not
divided weigh k in all. So one backward pass tells targets, mask, reduction and accumulation of any loop.

Beside the target the gradient follows p. Where it does not, the loss is another one (soft targets, a reward,
logits that are scaled before they are scored), and nothing is concluded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minigpt.monitor.disorder import of_other_rows, of_tokens_before, unbalanced
from minigpt.runs.schema import OFFSETS

NEAR = math.log(1.25)  # two weights count as the same up to this; label smoothing takes about a tenth
SURE = 0.999  # a target that is all but certain leaves no gradient to measure its weight by
EQUAL_COUNTS = 1.02  # micro-batches whose numbers of targets differ by less cannot be told apart
SAMPLED = 1024  # positions that are looked at whole: all of them would take as much memory as the logits
FOLLOWS = 0.95  # cosine of gradient and p beside the target; soft targets and scaled logits lie below
LOGITS, LOG_PROBABILITIES, PROBABILITIES = "logits", "log-probabilities", "probabilities"
ROUNDING = 1e-6  # nats below which a probability is 1
CERTAIN = 0.9  # share of targets that fit an offset when it is the one
BALANCED = 1e-3  # a cross-entropy takes from one token what it gives another: their sum, in their sizes
UNBALANCED = 0.02
EVEN = 0.01  # spread of what pulls at the targets, in its mean, where nothing else does
FEW_CLASSES = 8  # of which logits may all lie between 0 and 1 by chance
EXACT = 0.99  # cosine of a gradient and the one that a softmax too many would give
RAW = "raw"  # logits, given to a loss that takes log-probabilities
SCRAMBLED = "scrambled"  # the logits in another order than the model wrote them
SQUASHED = "squashed"  # a softmax stands between the logits and a loss that makes one itself
SUMS_TO_ONE = 2e-3  # how near to 1 the sum of a row comes in half precision
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


@torch.no_grad()
def read_gradient(ids: Tensor | None, logits: Tensor, gradient: Tensor, scale: float = 1.0) -> Scored | None:
    """Return what the loss scored in one micro-batch; None where it is no cross-entropy of these logits.

    Args:
        ids: (B, T) tokens that the model was given, if they are known.
        logits: (..., V), and its `gradient`, of the same shape.
        scale: factor on the loss, as a gradient scaler puts on it; negative where it is maximised.
    """
    V, shape = logits.shape[-1], logits.shape
    logits, gradient = logits.detach().reshape(-1, V), gradient.detach().reshape(-1, V)  # (N, V)
    lowest, targets = gradient.min(-1) if scale > 0 else gradient.max(-1)  # (N,) each
    if not torch.isfinite(lowest).all():
        return None
    counted = lowest * scale < 0  # (N,)
    at = counted.nonzero()[:, 0]  # (n,)
    at = at[:: max(len(at) // SAMPLED, 1)][:SAMPLED]
    sample, pull = targets[at], -lowest[at].float() / scale
    if len(at) and unbalanced(gradient[at]) > UNBALANCED:
        if _is_scrambled(logits.view(shape), gradient.view(shape) / scale):
            return Scored(int(counted.sum()), None, None, V, sample, given=SCRAMBLED)
    log_p = logits[at].float().log_softmax(-1)  # (n, V)
    nats = -log_p.gather(-1, sample[:, None])[:, 0]  # (n,)
    unsure = (-nats).exp() < SURE
    given, alone = _given(logits[at].float()), _alone(gradient[at], sample)
    if given == LOG_PROBABILITIES and alone:  # the negative log-likelihood of what is one already
        weights = pull
    elif given == PROBABILITIES and alone:  # and of what is none yet, unless the log was taken outside
        p = logits[at].float().gather(-1, sample[:, None])[:, 0].clamp(min=1e-12)
        steady = (
            (pull.std() / pull.mean() < (pull * p).std() / (pull * p).mean()).item()
            if len(pull) > 1
            else False
        )
        given, weights, nats = (PROBABILITIES, pull, nats) if steady else (LOGITS, pull * p, -p.log())
    elif alone and len(pull) > 1 and (pull.std() < EVEN * pull.mean()).item():
        given, weights = RAW, pull  # targets are pulled up, and nothing is held down
    elif unsure.any() and not _is_cross_entropy(log_p[unsure], gradient[at][unsure] / scale, sample[unsure]):
        squashed = _squashed_weight(log_p, gradient[at].float() / scale, sample)
        if squashed is None:
            return None
        given, weights = SQUASHED, squashed
    else:
        weights = (pull / (1 - (-nats).exp()))[unsure]
        squashed = _squashed_weight(log_p, gradient[at].float() / scale, sample)
        n = int(counted.sum())
        # a mean that is too small by the size of the vocabulary: the softmax of a softmax is all but flat
        if given == LOGITS and squashed is not None and len(weights) and _near(n * squashed.mean().item(), 1):
            if not _near(n * weights.mean().item(), 1):
                given, weights = SQUASHED, squashed
        if given == LOGITS and V > FEW_CLASSES and logits[at].min() > 0 and logits[at].max() < 1:
            given = PROBABILITIES  # as a sigmoid makes them: logits lie on both sides of 0
        p = (-nats[unsure]).exp().clamp(min=1e-12)
        if given == LOGITS and len(weights) and _near(n * (weights / p).mean().item(), 1):
            if not _near(n * weights.mean().item(), 1):  # each target weighs as much as it is likely: no log
                given, weights = PROBABILITIES, weights / p
    scored = {
        "counted": int(counted.sum()),
        "weight": weights.mean().item() if len(weights) else None,
        "nats": nats.mean().item() if len(nats) else None,
        "classes": int((logits[0] > IMPOSSIBLE).sum()),
        "sample": sample,
        "given": given,
        "certain": _certain(logits[~counted]) if given == LOGITS else 0,
    }
    if ids is None or ids.ndim != 2 or not ids.numel():
        return Scored(**scored)
    mask, targets = _as_tokens(counted, shape, ids), _as_tokens(targets, shape, ids)
    if mask is None:
        return Scored(**scored)
    aligned, time_first = _aligned(ids, mask, targets), False
    if _best(aligned) < CERTAIN:
        turned = _aligned(ids.T, mask.T, targets.T)  # (T, B), as recurrent models take it
        if _best(turned) >= CERTAIN:
            aligned, time_first, ids, mask, targets = turned, True, ids.T, mask.T, targets.T
    seen = frozenset(targets[mask].unique().tolist())
    return Scored(
        **scored,
        rows=len(ids),
        length=ids.shape[1],
        mask=mask,
        targets=seen,
        aligned=aligned,
        time_first=time_first,
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
        if unbalanced(pulls) < BALANCED and _is_cross_entropy(rows.log_softmax(-1), pulls, pulls.argmin(-1)):
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


def _given(rows: Tensor) -> str:
    """Return what the rows that a loss took, (n, V), are."""
    if not len(rows):
        return LOGITS
    if rows.min() >= 0 and ((rows.sum(-1) - 1).abs() < SUMS_TO_ONE).all():
        return PROBABILITIES
    return LOG_PROBABILITIES if (rows.logsumexp(-1).abs() < SUMS_TO_ONE).all() else LOGITS


def _alone(gradient: Tensor, targets: Tensor) -> bool:
    """Return whether only the targets have a gradient, (n, V)."""
    beside = torch.ones_like(gradient).scatter_(-1, targets[:, None], 0.0)
    return bool(len(targets)) and not (gradient * beside).any()


def _squashed_weight(log_p: Tensor, gradient: Tensor, targets: Tensor) -> Tensor | None:
    """Return the weight of each position, (n,), if a softmax too many stood before the loss, else None."""
    if not len(targets):
        return None
    p = log_p.exp()
    pull = p.log_softmax(-1).exp()
    pull.scatter_add_(-1, targets[:, None], -torch.ones_like(targets[:, None], dtype=pull.dtype))
    right = p * (pull - (p * pull).sum(-1, keepdim=True))  # (n, V)
    # beside the targets, for at them every loss of this kind pulls alike
    beside = torch.ones_like(right).scatter_(-1, targets[:, None], 0.0)
    alike = torch.cosine_similarity(right * beside, gradient * beside, dim=-1, eps=1e-30)
    if alike.median().item() < EXACT:
        return None
    return (right * gradient).sum(-1) / right.square().sum(-1).clamp(min=1e-30)


def _is_cross_entropy(log_p: Tensor, gradient: Tensor, targets: Tensor) -> bool:
    """Return whether gradients, (n, V), follow p beside their targets."""
    return _follows(log_p, gradient, targets).median().item() > FOLLOWS


def _follows(log_p: Tensor, gradient: Tensor, targets: Tensor) -> Tensor:
    """Return the cosine of each gradient, (n, V), and p beside its target."""
    beside = torch.ones_like(log_p).scatter_(-1, targets[:, None], 0.0)
    return torch.cosine_similarity(log_p.exp() * beside, gradient.float() * beside, dim=-1, eps=1e-30)


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
    alike = weights.min() > 0 and _near(weights.max().item(), weights.min().item())
    return alike and _follows(log_p, gradient, targets).min().item() > FOLLOWS


def start_evidence(micros: list[Scored]) -> dict[str, Any]:
    """Return what section 1 of the tree asks, of the micro-batches of the first step."""
    evidence: dict[str, Any] = {"loss_given": micros[0].given}
    if micros[0].given in (PROBABILITIES, SQUASHED, RAW, SCRAMBLED):
        return evidence
    if (kind := _reduction(micros)) is not None:
        evidence["duplicate_batch_ratio"] = 2.0 if kind == "sum" else 1.0
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
