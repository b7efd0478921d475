"""What a loss took the logits for, read off their gradient: logits, probabilities, or something worse.

The gradient of a cross-entropy follows p beside the target. A loss that takes log-probabilities moves the
target alone, and the same in every position; one that takes probabilities and makes their logarithm itself
moves it by 1 / p; and where a softmax stands too many, the gradient has gone through it once more. What fits
none of them is another loss (soft targets, a reward, logits that are scaled first): nothing is concluded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOGITS, LOG_PROBABILITIES, PROBABILITIES = "logits", "log-probabilities", "probabilities"
RAW = "raw"  # logits, given to a loss that takes log-probabilities
SCRAMBLED = "scrambled"  # the logits in another order than the model wrote them
CLIPPED = "clipped"  # logits that an activation has cut at 0
SQUASHED = "squashed"  # a softmax stands between the logits and a loss that makes one itself

NEAR = math.log(1.25)  # two weights count as the same up to this; label smoothing takes about a tenth
SURE = 0.999  # a target that is all but certain leaves no gradient to measure its weight by
FOLLOWS = 0.95  # cosine of gradient and p beside the target; soft targets and scaled logits lie below
EVEN = 0.01  # spread of what pulls at the targets, in its mean, where nothing else does
EXACT = 0.99  # cosine of a gradient and the one that a softmax too many would give
CUT = 0.1  # share of logits that are exactly 0, and none below; a row of logits has no reason to be so
FEW_CLASSES = 8  # of which logits may all lie between 0 and 1 by chance
SUMS_TO_ONE = 2e-3  # how near to 1 the sum of a row comes in half precision
FEW_ROWS = 32  # of which it is asked whether their targets are spread,
SMOOTHED, NEARLY_ALL = 0.05, 0.9  # by so much, in so many of them, before that is what keeps p from fitting
STRAIGHT = (
    0.999  # squared correlation of gradient and p beside the target, where no more than a line is there
)


@dataclass(frozen=True)
class Kind:
    """What a loss took, with the weight of each position in it, and the cross-entropy there."""

    given: str
    weights: Tensor  # (m,) of the positions where it can be measured
    nats: Tensor  # (n,) of all of them
    spread: float | None = None  # share of what targets ask for that is spread evenly over all tokens


def kind_of_loss(logits: Tensor, gradient: Tensor, targets: Tensor, counted: int) -> Kind | None:
    """Return what kind of loss gave these gradients; None if it is no cross-entropy of any kind.

    Args:
        logits: (n, V) rows that the model wrote, and their `gradient`, of the same shape.
        targets: (n,) tokens that the gradient pulls up.
        counted: positions that count in the loss, of which these n are a sample.
    """
    log_p = logits.log_softmax(-1)
    nats = -log_p.gather(-1, targets[:, None])[:, 0]
    if not len(targets):
        return Kind(LOGITS, nats, nats)
    pull = -gradient.gather(-1, targets[:, None])[:, 0]
    if _moves_alone(gradient, targets) and (kind := _of_targets_alone(logits, pull, targets, nats)):
        return kind
    unsure = (-nats).exp() < SURE
    squashed = _weights_if_squashed(log_p, gradient, targets)
    spreads, slopes, share = _spread_of_targets(logits, gradient, targets)
    spread = float(spreads.median()) if share > 0.5 else None
    if unsure.any() and not follows_cross_entropy(log_p[unsure], gradient[unsure], targets[unsure]):
        if squashed is None and share > NEARLY_ALL and spread > SMOOTHED:
            return Kind(LOGITS, slopes, nats, spread)
        return None if squashed is None else Kind(SQUASHED, squashed, nats)
    weights = (pull / (1 - (-nats).exp()))[unsure]
    given = _rows_are(logits)
    if given != LOGITS or not len(weights):
        return Kind(given, weights, nats)
    if not near(counted * weights.mean().item(), 1):
        # a mean that is too small by the size of the vocabulary: the softmax of a softmax is all but flat
        if squashed is not None and near(counted * squashed.mean().item(), 1):
            return Kind(SQUASHED, squashed, nats)
        # each target weighs as much as it is likely: no logarithm was taken
        likely = weights / (-nats[unsure]).exp().clamp(min=1e-12)
        if near(counted * likely.mean().item(), 1):
            return Kind(PROBABILITIES, likely, nats)
    if logits.shape[-1] > FEW_CLASSES and logits.min() > 0 and logits.max() < 1:
        return Kind(PROBABILITIES, weights, nats)  # as a sigmoid makes them: logits lie on both sides of 0
    if logits.shape[-1] > FEW_CLASSES and logits.min() == 0 and (logits == 0).float().mean() > CUT:
        return Kind(CLIPPED if logits.any() else LOGITS, weights, nats)
    return Kind(LOGITS, weights, nats, spread)


def _of_targets_alone(logits: Tensor, pull: Tensor, targets: Tensor, nats: Tensor) -> Kind | None:
    """The kind of a loss that moves targets alone by `pull`, (n,): it takes what is normalised already."""
    given = _rows_are(logits)
    if given == LOG_PROBABILITIES:
        return Kind(given, pull, nats)
    several = len(pull) > 1
    if given == PROBABILITIES:
        p = logits.gather(-1, targets[:, None])[:, 0].clamp(min=1e-12)
        if several and _spread(pull) < _spread(pull * p):
            return Kind(given, pull, nats)
        return Kind(LOGITS, pull * p, -p.log())  # the logarithm was taken outside the model
    if several and _spread(pull) < EVEN:
        return Kind(RAW, pull, nats)  # targets are pulled up, and nothing is held down
    return None


def follows_cross_entropy(log_p: Tensor, gradient: Tensor, targets: Tensor) -> bool:
    """Return whether gradients, (n, V), follow p beside their targets."""
    return follows(log_p, gradient, targets).median().item() > FOLLOWS


def follows(log_p: Tensor, gradient: Tensor, targets: Tensor) -> Tensor:
    """Return the cosine of each gradient, (n, V), and p beside its target."""
    beside = _beside(log_p, targets)
    return torch.cosine_similarity(log_p.exp() * beside, gradient.float() * beside, dim=-1, eps=1e-30)


def _spread_of_targets(logits: Tensor, gradient: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return the share of what targets ask for that is spread evenly over all tokens; 0 for one-hot ones.

    Where a target t adds up to S, the gradient is w · (S · p − t). If t gives the same to every token beside
    the right one, that is a straight line in p: its slope is w · S, and at p = 0 it is −w times what each is
    given. In half precision there is no such line, nor with the targets of a teacher.

    Returns:
        that share and the slope, (m,) each, of the rows that show a line, and the share of those rows.
    """
    V = logits.shape[-1]
    p, pull = logits[:FEW_ROWS].double().softmax(-1), gradient[:FEW_ROWS].double()
    beside = _beside(p, targets[:FEW_ROWS])

    def centred(values: Tensor) -> tuple[Tensor, Tensor]:
        mean = (values * beside).sum(-1, keepdim=True) / (V - 1)
        return mean, (values - mean) * beside

    (mean_p, p), (mean_pull, pull) = centred(p), centred(pull)
    together, own = (p * pull).sum(-1, keepdim=True), p.square().sum(-1, keepdim=True)
    straight = together.square() > STRAIGHT * own * pull.square().sum(-1, keepdim=True)
    slope = together / own
    shown = straight & (slope > 0) & (V > FEW_CLASSES)
    return (V * (mean_p - mean_pull / slope))[shown], slope[shown], float(shown.float().mean())


def near(one: float, other: float) -> bool:
    """Return whether two weights count as the same."""
    return abs(math.log(one / other)) < NEAR


def _weights_if_squashed(log_p: Tensor, gradient: Tensor, targets: Tensor) -> Tensor | None:
    """Return the weight of each position, (n,), if a softmax too many stood before the loss, else None."""
    p = log_p.exp()
    pull = p.log_softmax(-1).exp()
    pull.scatter_add_(-1, targets[:, None], -torch.ones_like(targets[:, None], dtype=pull.dtype))
    right = p * (pull - (p * pull).sum(-1, keepdim=True))  # (n, V)
    beside = _beside(right, targets)  # for at the targets every loss of this kind pulls alike
    alike = torch.cosine_similarity(right * beside, gradient * beside, dim=-1, eps=1e-30)
    if alike.median().item() < EXACT:
        return None
    return (right * gradient).sum(-1) / right.square().sum(-1).clamp(min=1e-30)


def _rows_are(rows: Tensor) -> str:
    """Return what the rows that a loss took, (n, V), are by their sums."""
    if rows.min() >= 0 and ((rows.sum(-1) - 1).abs() < SUMS_TO_ONE).all():
        return PROBABILITIES
    return LOG_PROBABILITIES if (rows.logsumexp(-1).abs() < SUMS_TO_ONE).all() else LOGITS


def _moves_alone(gradient: Tensor, targets: Tensor) -> bool:
    """Return whether only the targets have a gradient, (n, V)."""
    return not (gradient * _beside(gradient, targets)).any()


def _beside(rows: Tensor, targets: Tensor) -> Tensor:
    """Return ones, (n, V), with 0 at the targets."""
    return torch.ones_like(rows).scatter_(-1, targets[:, None], 0.0)


def _spread(values: Tensor) -> float:
    return (values.std() / values.mean()).item()
