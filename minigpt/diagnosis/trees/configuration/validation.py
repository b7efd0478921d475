"""Section 4: does validation keep step with training, and does it stay at its best?"""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.logged import is_log, is_long, side_by_side, turned_up
from minigpt.diagnosis.trees.leaps import stairs
from minigpt.runs.evidence import Evidence

EARLY = 50  # steps before which a validation loss says little
FEWEST = 10  # logged losses that show a trend
LOOKS = 1000  # validation losses that are looked at, evenly spread
RECENT = 10  # steps that the training loss is averaged over, beside a validation loss


class Gap(NamedTuple):
    """How far a validation loss lies above the training losses before it, in nats per token."""

    step: int
    nats: float
    error: float  # standard error of the mean of those training losses


def gaps_until(evidence: Evidence, until: int) -> list[Gap] | None:
    """Return validation − training loss at each evaluation; None where a validation loss is not finite.

    A NaN among numbers only stands for a step without validation, as some loggers write it; where there was
    none before the last number, those after it do not.
    """
    steps, losses = evidence.metrics.column("loss")
    looks, val_losses = evidence.metrics.column("val_loss")
    missing = np.isnan(val_losses)
    numbers = np.flatnonzero(~missing)
    if np.isinf(val_losses).any() or (len(looks) and not len(numbers)):
        return None
    if len(numbers) and numbers[-1] + 1 == len(numbers) < len(looks):  # numbers first, then none any more
        return None
    numbers = numbers[(looks[numbers] >= EARLY) & (looks[numbers] <= until)]
    gaps = []
    for at in numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), LOOKS)).astype(np.int64)]:
        step, val_loss = looks[at], val_losses[at]
        end = int(np.searchsorted(steps, step, side="right"))
        if end:
            # the last one, where losses are sparse
            recent = losses[min(int(np.searchsorted(steps, step - RECENT, side="right")), end - 1) : end]
            with np.errstate(invalid="ignore"):  # an infinite loss is what 4.1 speaks of
                error = recent.std(ddof=1) / math.sqrt(len(recent)) if len(recent) > 1 else 0.0
            gaps.append(Gap(int(step), float(val_loss - recent.mean()), float(error)))
    return gaps


def _apart(evidence: Evidence, low: float, high: float, errors: float) -> list[Gap]:
    """Return the gaps of the whole run that are out of bounds by more than so many standard errors."""
    gaps = gaps_until(evidence, sys.maxsize) or []
    slack = [errors * gap.error for gap in gaps]
    return [gap for gap, by in zip(gaps, slack, strict=True) if not low - by <= gap.nats <= high + by]


def _together(question: Question, evidence: Evidence) -> Finding:
    if is_log(evidence):
        return _together_in_log(question, evidence)
    limits, start = question.thresholds, evidence.start
    overlaps = {"overlap": start.shared_lines, "ngrams": start.shared_ngrams}
    lines, ngrams = (share or 0 for share in overlaps.values())
    gaps = gaps_until(evidence, int(limits["step"]))
    if gaps is None:
        return question.unknown(**_not_finite(evidence), **overlaps)
    sure = [gap for gap in gaps if gap.nats - limits["errors"] * gap.error > limits["high"]]
    widest = max(sure or gaps, key=lambda gap: abs(gap.nats), default=Gap(0, 0.0, 0.0))
    values = {"gap": widest.nats if gaps else None, "step": widest.step if gaps else None, **overlaps}
    too_good = widest.nats < limits["low"]
    # any two texts of a kind share some pieces, so pieces alone prove no leak
    if lines > limits["overlap"] or (too_good and ngrams > limits["overlap"]):
        return question.failed("data-leak", **values)
    if sure:
        return question.failed("overfitting", **values)
    if not gaps:  # later on a gap may be wide and right: no leaf, and no health
        if apart := _apart(evidence, limits["low"], limits["high"], limits["errors"]):
            return question.unknown(**values | {"gap": apart[-1].nats, "step": apart[-1].step, "ratio": None})
    if not gaps and set(overlaps.values()) == {None}:
        return question.not_measured()
    if widest.nats > limits["odd"] or too_good:
        return question.warned(**values)
    return question.passed(**values) if gaps else question.passed(**values, kind="texts")


def _together_in_log(question: Question, evidence: Evidence) -> Finding:
    """Compare the two losses of a log late enough for the mean of training to have caught up."""
    limits, nothing = question.thresholds, {"overlap": None, "ngrams": None}
    if gaps_until(evidence, sys.maxsize) is None:
        return question.unknown(**_not_finite(evidence), **nothing)
    looks = side_by_side(evidence)
    if not looks:
        return _by_heart(question, evidence)
    late = looks[-max(1, len(looks) // 3) :]
    step, train, loss = late[-1]
    values = {"gap": loss - train, "step": step, "ratio": train / loss if loss else math.inf, **nothing}
    gaps = [val - training for _, training, val in late]
    if max(gaps) < limits["too_low"]:
        return question.unknown(**values)  # another mean, another text, or a leak: a log does not tell
    if turned_up(evidence, *TURNED):
        return question.warned(**values)  # how far they are apart is told by 4.2b
    (_, first_train, first), (_, _, half) = looks[0], looks[len(looks) // 2]
    began = float(evidence.metrics.column("loss")[1][0])
    if max(val for _, _, val in late) < limits["by_heart"] and began > limits["words"]:
        return question.unknown(**values, kind="answered", last=loss)
    stands = len(looks) > 2 and loss >= (1 - limits["stood"]) * first
    stands &= train < (1 - limits["fell"]) * first_train
    if min(gaps) > limits["high"]:
        learnt = evidence.chance is None or loss < evidence.chance - limits["odd"]
        return question.failed("overfitting", **values) if stands and learnt else question.unknown(**values)
    stopped = len(looks) > 5 and loss >= (1 - limits["stood"]) * half
    if (stands or stopped) and values["gap"] > limits["odd"]:
        return question.unknown(**values)  # what training learns does not reach validation
    return question.warned(**values) if values["gap"] > limits["odd"] else question.passed(**values)


def _not_finite(evidence: Evidence) -> dict[str, Any]:
    """Return the figures of a finding about the first validation loss that is infinite, else that is NaN."""
    looks, losses = evidence.metrics.column("val_loss")
    infinite = np.isinf(losses)
    at = int((infinite if infinite.any() else np.isnan(losses)).argmax())
    return {"gap": math.nan, "ratio": None, "step": int(looks[at]), "value": str(losses[at]), "kind": "none"}


def _by_heart(question: Question, evidence: Evidence) -> Finding:
    """Judge a log without validation: a training loss next to 0 is a text learnt by heart, or a leak."""
    steps, losses = evidence.metrics.column("loss")
    values = {"gap": None, "step": None, "ratio": None, "overlap": None, "ngrams": None}
    if len(losses) < FEWEST or not is_long(evidence) or not (losses >= 0).all():
        return question.not_measured()
    last = float(np.median(losses[-FEWEST:]))
    if last < question.thresholds["by_heart"] and losses[:FEWEST].max() > 1.0:
        return question.unknown(**values, kind="by-heart", last=last)
    if (found := stairs(steps, losses)) is not None:
        return question.unknown(**values | found._asdict(), kind="stairs", last=last)
    return question.not_measured()


def _stays_at_its_best(question: Question, evidence: Evidence) -> Finding:
    """Ask whether validation turned up from its best while training went on falling, at any step."""
    losses = evidence.metrics.column("val_loss")[1]
    losses = losses[np.isfinite(losses)]
    if len(losses) < 2:
        return question.not_measured()
    turn = turned_up(evidence, *TURNED)
    if turn is None:
        best, last = float(losses.min()), float(losses[-1])
        return question.passed(step=None, best=best, last=last, train_then=None, train_last=None)
    if turn.train_last is None or turn.train_last < turn.train_then:
        return question.failed("overfitting", **turn._asdict())
    return question.warned(**turn._asdict())  # training rose too, which 4.1b judges


TURN = {"nats": 0.1, "share": 0.1, "errors": 3.0}  # above the best: nats; of the best; of a look's noise
TURNED = tuple(TURN.values())

VALIDATION_QUESTIONS = (
    Question(
        "4.2",
        {
            "low": -0.3,
            "odd": 0.5,
            "high": 1.0,
            "errors": 2.0,
            "step": 500,
            "overlap": 0.1,
            "too_low": -0.5,
            "stood": 0.01,
            "fell": 0.1,
            "by_heart": 0.05,
            "words": 3.5,
        },  # nats, thrice; standard errors above it; by this step; share of lines, or of pieces
        # and of a log: nats; of validation; of training; nats; nats at the start of a model of language
        ("overfitting", "data-leak"),
        _together,
        symptom=True,
    ),
    Question(
        "4.2b",
        TURN,
        ("overfitting",),
        _stays_at_its_best,
        symptom=True,
    ),
)
