"""Judging losses that nobody watched: the curves of an external log, at whatever steps it has them.

    fall_of(steps, losses)       # how far a curve came down, against its own noise
    turned_up(evidence)          # whether validation left its best while training went on falling

A log may start late, be sparse, hold means over many steps, or validation alone. So nothing here asks for
step 0 or for a loss at every step.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.series import noise_of
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import LogNotes, Source
from minigpt.runs.thresholds import NO_LOSS

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

FEWEST = 5  # losses that show a trend,
RISING = 4  # and that show one where each is higher than the one before
LONG = 200  # steps that show one; of rows that name no step, a tenth
BUMP_NATS, BUMP_SHARE, BUMP_NOISE = 0.5, 0.15, 8.0  # above the best: nats, a share of it, times the noise
TINY_RATE = 1e-6  # no model learns at less
STUCK = 0.5  # share of the run, at its end, in which nothing was learnt
SINGLE = (0.56, 0.85)  # of ln V: where a model ends that only knows how frequent each token is
UNTRAINED = 5.5  # nats per token: where the vocabulary is not known, more than a trained model has
HIGH_RATE = 3e-3  # from here on a rate is a suspect
NO_FIGURES = dict.fromkeys(("early", "later", "slope", "fall"), math.nan) | dict.fromkeys(
    ("from_step", "to_step")
)


class Fall(NamedTuple):
    """How far a curve came down."""

    first: float
    last: float
    error: float  # standard error of their difference
    share: float  # of its start


def fall_of(losses: Floats) -> Fall:
    """Return the fall of a curve from its first losses to its last."""
    count = len(losses)
    ahead = int(np.clip(count // 5, 1, 10))
    behind = int(np.clip(count // 5, 1, 50))
    first, last = float(np.median(losses[:ahead])), float(np.median(losses[-behind:]))
    noise = noise_of(losses) if count > 2 else 0.0
    error = 1.25 * noise * math.sqrt(1 / ahead + 1 / behind)  # of medians
    return Fall(first, last, error, 1 - last / first if first else 0.0)


def lowest(losses: Floats) -> float:
    """Return the lowest mean of neighbours."""
    width = max(1, min(50, len(losses) // 10))
    sums = np.cumsum(np.concatenate([[0.0], losses]))
    return float(((sums[width:] - sums[:-width]) / width).min())


def bump_of(losses: Floats) -> tuple[int, float] | None:
    """Return where a curve leaves its best by far and comes back below it later, and that best, else None.

    One row alone may be one odd batch; so two in a row must lie above, by more than any noise.
    """
    best, noise = np.minimum.accumulate(losses), noise_of(losses, 2)
    rise = losses[1:] - best[:-1]
    above = rise > np.maximum(np.maximum(BUMP_NATS, BUMP_SHARE * best[:-1]), BUMP_NOISE * noise)
    for at in np.flatnonzero(above[:-1] & above[1:]).tolist():
        if at >= FEWEST - 1 and losses[at + 1 :].min() < best[at]:
            return at + 1, float(best[at])
    return None


def is_log(evidence: Evidence) -> bool:
    """Return whether there is nothing but a log, and nobody said what was asked for."""
    return evidence.source is Source.LOG and evidence.config is None


def is_long(evidence: Evidence) -> bool:
    """Return whether a log is long enough to show a trend."""
    steps = curve_of(evidence)[0]
    looks = not len(evidence.metrics.column("loss")[1])  # of validation alone, each after many steps
    if looks or evidence.audit(LogNotes).counted == "rows":
        return len(steps) >= LONG // 10 or looks and len(steps) > 2 and int(steps[-1]) >= LONG
    return len(steps) > 0 and int(steps[-1]) >= LONG


def curve_of(evidence: Evidence) -> tuple[Steps, Floats]:
    """Return the training loss, or validation where nothing else was logged."""
    steps, losses = evidence.metrics.column("loss")
    return (steps, losses) if len(losses) else evidence.metrics.column("val_loss")


def falls(question: Question, evidence: Evidence) -> Finding:
    """Judge whether the curve of a log comes down."""
    steps, losses = curve_of(evidence)
    if (none := first_that_is_none(steps, losses)) is not None:
        return question.unknown(**NO_FIGURES, **none, kind="none")
    few = len(losses) < FEWEST and not (len(losses) > 2 and is_long(evidence))
    if few and not _each_higher(evidence):
        return question.not_measured()
    found, (limits, slope) = fall_of(losses), (question.thresholds, 0.0)
    if steps[-1] > steps[0]:
        slope = (found.first - found.last) / float(steps[-1] - steps[0]) * 100
    values = {"early": found.first, "later": found.last, "slope": slope, "fall": found.share}
    values |= {"from_step": int(steps[0]), "to_step": int(steps[-1])}
    if min(found.first, found.last) > NO_LOSS:
        return question.unknown(**values, kind="unit")  # no cross-entropy per token
    if len(losses) >= FEWEST and losses.min() == losses.max() > 0:
        return question.unknown(**values, kind="still")  # batches differ, so a loss that is read moves
    sure = found.first - found.last > 2 * found.error
    if sure and found.share >= limits["fall"]:
        if not is_long(evidence):
            return question.not_measured()
        return _stuck(question, evidence, values) or question.passed(**values)
    if found.last < limits["done"] or validation_keeps_falling(evidence):
        return question.warned(**values)  # little is left, or the objective changed and the model learns on
    if lowest(losses) < found.first - max(4 * found.error, limits["up"]):
        return question.warned(**values)  # it fell and came back, which 4.1b judges
    if found.last - found.first > max(2 * found.error, limits["up"]):
        return question.failed("diverging", **values)
    rate = highest_rate(evidence)
    flat = abs(found.first - found.last) <= max(3 * found.error, limits["fall"] * found.first)
    if flat and rate is not None and 0 < rate < TINY_RATE and len(losses) >= 2 * FEWEST:
        return question.failed("lr-too-low", **values, rate=rate)
    if _each_higher(evidence):
        return question.unknown(**values, kind="rising")
    if not is_long(evidence):
        return question.not_measured()
    return question.unknown(**values, kind="flat") if flat else question.unknown(**values)


def first_that_is_none(steps: Steps, losses: Floats) -> dict[str, Any] | None:
    """Return step and value of the first loss that is no cross-entropy: NaN, infinite or below 0."""
    wrong = np.flatnonzero(~(losses >= 0) | np.isinf(losses))
    if not len(wrong):
        return None
    return {"step": int(steps[wrong[0]]), "value": str(round(float(losses[wrong[0]]), 4))}


def _each_higher(evidence: Evidence) -> bool:
    """Return whether a few losses, one for each epoch, are each higher than the one before, both curves."""
    curves = [evidence.metrics.column(name)[1] for name in ("loss", "val_loss")]
    counted = evidence.audit(LogNotes).counted == "rows"
    return counted and all(len(losses) >= RISING and (np.diff(losses) > 0).all() for losses in curves)


def _stuck(question: Question, evidence: Evidence, values: dict[str, Any]) -> Finding | None:
    """Return a finding where the loss stays at what the frequency of single tokens gives."""
    chance, losses = evidence.chance, curve_of(evidence)[1]
    if evidence.starts_from_checkpoint or len(losses) < 4 * FEWEST or not is_long(evidence):
        return None
    late = losses[int(len(losses) * (1 - STUCK)) :]
    rest = fall_of(late)
    if abs(rest.first - rest.last) > max(2 * rest.error, 0.01 * rest.first):
        return None
    low, high = (UNTRAINED, NO_LOSS) if chance is None else (share * chance for share in SINGLE)
    if not low <= rest.last <= high:
        return None
    rate = highest_rate(evidence)
    if rate is not None and rate >= HIGH_RATE:
        return question.failed("lr-too-high", **values, rate=rate)
    return question.unknown(**values, kind="stuck")


def rates_at(evidence: Evidence, steps: Steps) -> Floats | None:
    """Return the learning rate of the first group at those steps, or None."""
    for name in evidence.metrics.names():
        if name.startswith("lr.") and len(evidence.metrics.column(name)[0]) > 1:
            at, rates = evidence.metrics.column(name)
            return np.interp(steps, at, rates)
    return None


def highest_rate(evidence: Evidence) -> float | None:
    """Return the largest learning rate of a log, or None."""
    rates = [evidence.metrics.column(name)[1] for name in evidence.metrics.names() if name.startswith("lr.")]
    finite = [float(values[np.isfinite(values)].max()) for values in rates if np.isfinite(values).any()]
    return max(finite, default=None)


def lost_on_the_ramp(evidence: Evidence, best: int) -> bool:
    """Return whether the loss left its best, at step `best`, while the learning rate was still rising."""
    for name in evidence.metrics.names():
        if name.startswith("lr."):
            steps, rates = evidence.metrics.column(name)
            if len(rates) < FEWEST:
                continue
            top = int(rates.argmax())
            at = int(np.searchsorted(steps, best, side="right")) - 1
            return (
                0 <= at and rates[at] > rates[0] and (at < top or rates[at] >= 0.99 * rates[top]) and top > 1
            )
    return False


def validation_keeps_falling(evidence: Evidence) -> bool:
    """Return whether validation is best at the end, so that a rising training loss says something else."""
    losses = evidence.metrics.column("val_loss")[1]
    losses = losses[np.isfinite(losses)]
    if len(losses) < 3:
        return False
    return bool(losses[-1] <= losses.min() * 1.01 and losses[-1] < 0.99 * losses[0])


class Turn(NamedTuple):
    """Validation at its best and at the end."""

    step: int
    best: float
    last: float
    train_then: float | None  # training loss at the best, and at the end
    train_last: float | None


def turned_up(evidence: Evidence, nats: float, share: float, errors: float) -> Turn | None:
    """Return where validation turned up from its best for good, by more than noise; None where it did not.

    Args:
        nats: least rise.
        share: least rise as a share of the best.
        errors: least rise in standard deviations of one look, by the differences of neighbours.
    """
    looks, losses = evidence.validated()
    if not len(losses):
        return None
    best = int(losses.argmin())
    after = losses[best + 1 :]
    if not len(after):
        return None
    # of the curve before its best, where only noise turns upwards
    noise = noise_of(losses) if len(losses) > 5 else 0.0
    least = max(nats, share * float(losses[best]), errors * noise if len(after) < 5 else 0.0)
    end = float(np.median(after[-3:]))
    if min(end, float(after[-1])) - losses[best] < least:
        return None
    steps, train = evidence.metrics.column("loss")
    then = last = None
    if len(train):
        width = max(1, min(10, len(train) // 10))
        at = int(np.clip(np.searchsorted(steps, looks[best], side="right"), width, len(train)))
        then, last = (float(np.median(part)) for part in (train[at - width : at], train[-width:]))
    return Turn(int(looks[best]), float(losses[best]), float(after[-1]), then, last)


def side_by_side(evidence: Evidence) -> list[tuple[int, float, float]]:
    """Return step, training and validation loss at each look.

    A logged training loss may be the mean of all steps since the one before. So it is read between its own
    middle and the next, and not at looks before the first.
    """
    (steps, train), (looks, losses) = evidence.metrics.column("loss"), evidence.metrics.column("val_loss")
    keep = np.isfinite(train)
    steps, train = steps[keep], train[keep]
    if len(train) < 2:
        return []
    apart = float(np.median(np.diff(steps)))
    width = max(1, min(10, len(train) // 10))
    smooth = np.convolve(train, np.full(width, 1 / width), "valid")
    at = steps[width - 1 :] - apart * width / 2
    found = []
    for look, loss in zip(looks.tolist(), losses.tolist(), strict=True):
        if math.isfinite(loss) and look >= at[0]:
            found.append((int(look), float(np.interp(look, at, smooth)), loss))
    return found
