"""Section 4: are the losses moving, and together?"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Source

EMA_STEPS = 50
EARLY, LATER = 50, 200  # the steps that are compared
FEWEST = 10  # logged losses that show a trend
LOOKS = 1000  # validation losses that are looked at, evenly spread
RECENT = 10  # steps that the training loss is averaged over, beside a validation loss


def _moves(question: Question, evidence: Evidence) -> Finding:
    steps, logged = evidence.metrics.column("loss")
    if not _cross_entropies(logged):
        return question.unknown(early=math.nan, later=math.nan, slope=math.nan, fall=math.nan)
    at = steps <= LATER
    if at.sum() < FEWEST or steps[0] > 0 or steps[-1] < LATER:
        return question.not_measured()
    losses = np.interp(np.arange(LATER + 1), steps, logged)  # a step that was not logged lies between others
    decay, mean, means = 2 / (EMA_STEPS + 1), losses[0], []
    for loss in losses:
        mean += decay * (loss - mean)
        means.append(mean)
    early, later = float(means[EARLY]), float(means[LATER])
    limits, slope = question.thresholds, (early - later) / (LATER - EARLY) * 100
    fall = 1 - later / float(losses[:FEWEST].mean())
    values = {"early": early, "later": later, "slope": slope, "fall": fall}
    if -slope > limits["rise"]:
        return question.failed("diverging", **values)
    # batches differ by more than the least slope, so a run that has hardly left its start may show one
    if slope >= limits["slope"] and (fall >= limits["fall"] or evidence.starts_from_checkpoint):
        return question.passed(**values)
    if evidence.config is not None:
        warming_up = evidence.config.warmup_steps > LATER
    else:
        group = next((name for name in evidence.metrics.names() if name.startswith("lr.")), "")
        rates = evidence.metrics.column(group)
        warming_up = len(rates[0]) > 0 and np.interp(LATER, *rates) < limits["rate"] * rates[1].max()
        learnt = logged[-FEWEST:].mean() < limits["learnt"] * logged[:FEWEST].mean()
        if learnt and not warming_up or warming_up and not (learnt or evidence.starts_from_checkpoint):
            return question.unknown(**values)  # what it waited for is not in the log, or it waits still
    if evidence.starts_from_checkpoint or warming_up or later < limits["done"]:
        return question.warned(**values)  # little was left to learn, or the rate is still to come
    return question.failed("lr-too-low", **values)


def _stays_down(question: Question, evidence: Evidence) -> Finding:
    """Ask whether the run kept what it had learnt, however late it is."""
    limits, losses = question.thresholds, evidence.metrics.column("loss")[1]
    if not _cross_entropies(losses):
        return question.unknown(best=math.nan, last=math.nan, lost=math.nan)
    if len(losses) < 2 * FEWEST:
        return question.not_measured()
    width = int(np.clip(len(losses) // 4, FEWEST, EMA_STEPS))
    means = np.convolve(losses, np.full(width, 1 / width), "valid")  # a running sum never forgets a huge loss
    # the median, for one loss out of line at the start would make all that is lost later look small
    first, best, last = float(np.median(losses[:FEWEST])), float(means.min()), float(means[-1])
    learnt = max(first - best, limits["nats"])  # what is less may come and go with the batches
    values = {"best": best, "last": last, "lost": (last - best) / learnt}
    if last - best > max(limits["fail"] * learnt, limits["nats"]):
        return question.failed("diverging", **values)
    return question.passed(**values) if values["lost"] <= limits["odd"] else question.warned(**values)


def _cross_entropies(losses: np.ndarray) -> bool:
    return bool(np.isfinite(losses).all() and (losses >= 0).all())


def _downhill(question: Question, evidence: Evidence) -> Finding:
    share = evidence.rehearsal.downhill
    if share is None:
        return question.not_measured()
    if share < question.thresholds["share"]:
        return question.failed("diverging", share=share)
    return question.passed(share=share)


class Gap(NamedTuple):
    """How far a validation loss lies above the training losses before it, in nats per token."""

    step: int
    nats: float
    error: float  # standard error of the mean of those training losses


def gaps_until(evidence: Evidence, until: int) -> list[Gap] | None:
    """Return validation − training loss at each look, or None where a validation loss is no number.

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
    limits, start = question.thresholds, evidence.start
    overlaps = {"overlap": start.shared_lines, "ngrams": start.shared_ngrams}
    lines, ngrams = (share or 0 for share in overlaps.values())
    gaps = gaps_until(evidence, int(limits["step"]))
    if gaps is None:
        return question.unknown(gap=math.nan, step=None, **overlaps)
    sure = [gap for gap in gaps if gap.nats - limits["errors"] * gap.error > limits["high"]]
    widest = max(sure or gaps, key=lambda gap: abs(gap.nats), default=Gap(0, 0.0, 0.0))
    values = {"gap": widest.nats if gaps else None, "step": widest.step if gaps else None, **overlaps}
    too_good = widest.nats < limits["low"]
    # any two texts of a kind share some pieces, so pieces alone prove no leak
    if lines > limits["overlap"] or (too_good and ngrams > limits["overlap"]):
        return question.failed("data-leak", **values)
    if sure and evidence.source is Source.LOG and evidence.chance is not None:
        best = np.nanmin(evidence.metrics.column("val_loss")[1])
        if best > evidence.chance - limits["odd"]:  # nothing was learnt that could be lost again
            return question.unknown(**values)
    if sure:
        return question.failed("overfitting", **values)
    if not gaps or evidence.source is Source.LOG:  # a late gap may be wide and right: no leaf, no health
        low = -limits["high"] if gaps else limits["low"]
        if apart := _apart(evidence, low, limits["high"], limits["errors"]):
            return question.unknown(**values | {"gap": apart[-1].nats, "step": apart[-1].step})
    if not gaps and set(overlaps.values()) == {None}:
        return question.not_measured()
    if widest.nats > limits["odd"] or too_good:
        return question.warned(**values)
    return question.passed(**values)


def _beyond_single_tokens(question: Question, evidence: Evidence) -> Finding:
    entropy, shares = evidence.baselines.unigram_entropy, evidence.start.target_offset_share
    steps, val_losses = evidence.metrics.column("val_loss")
    if entropy is None or shares is None or not len(steps) or steps[-1] < LATER - 1:
        return question.not_measured()
    if evidence.start.unmasked_share == 0:
        return question.not_measured()
    values = {"val_loss": float(val_losses[-1]), "entropy": entropy, "right": shares["1"]}
    if values["val_loss"] < question.thresholds["share"] * entropy:
        return question.passed(**values)
    if shares["1"] < question.thresholds["right"]:
        return question.failed("shuffled-targets", **values)
    return question.warned(**values)


STEP_QUESTIONS = (Question("2.3", {"share": 0.5}, ("diverging",), _downhill),)  # of the coordinates

LOSS_QUESTIONS = (
    Question(
        "4.1",
        # nats per 100 steps, twice; share; nats; and of a log without a config, shares of the largest rate
        # and of the first losses
        {"slope": 0.001, "rise": 0.05, "fall": 0.01, "done": 0.05, "rate": 0.5, "learnt": 0.9},
        ("diverging", "lr-too-low"),
        _moves,
        symptom=True,
    ),
    Question(
        "4.1b",
        {"odd": 0.25, "fail": 0.5, "nats": 0.5},  # of what was learnt, twice; nats
        ("diverging",),
        _stays_down,
        symptom=True,
    ),
    Question(
        "4.2",
        {
            "low": -0.3,
            "odd": 0.5,
            "high": 1.0,
            "errors": 2.0,
            "step": 500,
            "overlap": 0.1,
        },  # nats, thrice; standard errors above it; by this step; share of lines, or of pieces
        ("overfitting", "data-leak"),
        _together,
        symptom=True,
    ),
    Question("4.3", {"share": 0.95, "right": 0.5}, ("shuffled-targets",), _beyond_single_tokens),
)
