"""Section 4: are the losses moving, and together?"""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.logged import (
    NO_FIGURES,
    NO_LOSS,
    bump_of,
    curve_of,
    falls,
    first_that_is_none,
    highest_rate,
    is_log,
    is_long,
    lost_on_the_ramp,
    side_by_side,
    turned_up,
    validation_keeps_falling,
)
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.diagnosis.trees.series import most_in_a_window, usual_before
from minigpt.runs.evidence import Evidence

EMA_STEPS = 50
EARLY, LATER = 50, 200  # the steps that are compared
FEWEST = 10  # logged losses that show a trend
LOOKS = 1000  # validation losses that are looked at, evenly spread
RECENT = 10  # steps that the training loss is averaged over, beside a validation loss


def _moves(question: Question, evidence: Evidence) -> Finding:
    limits, (steps, logged) = question.thresholds, evidence.metrics.column("loss")
    if is_log(evidence):
        return falls(question, evidence)
    if (none := first_that_is_none(steps, logged)) is not None:
        return question.unknown(**NO_FIGURES, **none, kind="none")
    size = float(np.abs(logged).max()) if len(logged) else 0.0
    if len(logged) >= 2 * FEWEST and np.ptp(logged) <= limits["still"] * size and size > limits["nothing"]:
        values = {"early": float(logged[0]), "from_step": int(steps[0]), "to_step": int(steps[-1])}
        return question.unknown(**NO_FIGURES | values, kind="still")  # batches differ
    at = steps <= LATER
    if at.sum() < FEWEST or steps[0] > 0 or steps[-1] < LATER:
        return question.not_measured()
    losses = np.interp(np.arange(LATER + 1), steps, logged)  # a step that was not logged lies between others
    decay, mean, means = 2 / (EMA_STEPS + 1), losses[0], []
    for loss in losses:
        mean += decay * (loss - mean)
        means.append(mean)
    early, later = float(means[EARLY]), float(means[LATER])
    slope = (early - later) / (LATER - EARLY) * 100
    fall = 1 - later / float(losses[:FEWEST].mean())
    values = {"early": early, "later": later, "slope": slope, "fall": fall}
    values |= {"from_step": EARLY, "to_step": LATER}
    if -slope > limits["rise"]:
        return question.failed("diverging", **values)
    # batches differ by more than the least slope, so a run that has hardly left its start may show one
    if slope >= limits["slope"] and (fall >= limits["fall"] or evidence.starts_from_checkpoint):
        return question.passed(**values)
    warming_up = evidence.config.warmup_steps > LATER
    if evidence.starts_from_checkpoint or warming_up or later < limits["done"]:
        return question.warned(**values)  # little was left to learn, or the rate is still to come
    rate = highest_rate(evidence)
    if (observed(evidence, "relative_update") or 0.0) > limits["moves"] or (rate or 0.0) >= limits["high"]:
        return question.unknown(**values, kind="moving")  # the weights move, and yet nothing is learnt
    return question.failed("lr-too-low", **values, rate=rate)


def _stays_down(question: Question, evidence: Evidence) -> Finding:
    """Ask whether the run kept what it had learnt, however late it is."""
    limits, (steps, losses) = question.thresholds, evidence.metrics.column("loss")
    log = is_log(evidence)
    if log:
        steps, losses = curve_of(evidence)
    elif len(steps):
        last_task = evidence.tasks_apart(steps)[-1]  # what earlier ones lost is `forgetting`'s question
        steps, losses = steps[last_task], losses[last_task]
    nothing = {"best": math.nan, "last": math.nan, "lost": math.nan}
    if (none := first_that_is_none(steps, losses)) is not None:
        return question.unknown(**nothing, **none, kind="none")
    if log and len(losses) and np.median(losses) > NO_LOSS:
        return question.not_measured()  # no cross-entropy per token: 4.1 says so
    if len(losses) < 2 * FEWEST and not (log and len(losses) >= FEWEST // 2 and is_long(evidence)):
        return question.not_measured()
    fewest = min(FEWEST, max(len(losses) // 5, 1)) if log else FEWEST
    width = int(np.clip(len(losses) // 4, fewest, EMA_STEPS))
    means = np.convolve(losses, np.full(width, 1 / width), "valid")  # a running sum never forgets a huge loss
    # the median, for one loss out of line at the start would make all that is lost later look small
    first, best, last = float(np.median(losses[:fewest])), float(means.min()), float(means[-1])
    learnt = max(first - best, limits["nats"])  # what is less may come and go with the batches
    values = {"best": best, "last": last, "lost": (last - best) / learnt}
    if last - best > max(limits["fail"] * learnt, limits["nats"]):
        if log and validation_keeps_falling(evidence):
            return question.warned(**values)  # the objective changed, and the model goes on learning
        at = int(steps[int(means.argmin()) + width // 2])
        if log and lost_on_the_ramp(evidence, at):
            return question.failed("lr-too-high", **values, rate=highest_rate(evidence))
        return question.failed("diverging", **values)
    return question.passed(**values) if values["lost"] <= limits["odd"] else question.warned(**values)


def _leaps(question: Question, evidence: Evidence) -> Finding:
    """Ask whether single losses stand far above what was usual before them."""
    limits, (steps, losses) = question.thresholds, evidence.metrics.column("loss")
    finite = np.isfinite(losses)
    steps, losses = steps[finite], losses[finite]
    if len(losses) < 2 * FEWEST:
        return question.not_measured()
    tasks = [losses[stretch] for stretch in evidence.tasks_apart(steps)]
    usual = np.concatenate([usual_before(task, EMA_STEPS) for task in tasks])
    noise = np.concatenate(
        [usual_before(np.abs(np.diff(task, prepend=task[0])), EMA_STEPS) for task in tasks]
    )
    above = losses - usual > np.maximum(
        np.maximum(limits["nats"], limits["share"] * usual), limits["noise"] * noise
    )
    above[1:] &= ~above[:-1]  # a leap is counted once, however long it lasts
    most = most_in_a_window(steps, above, LATER)
    at = int(above.argmax()) if most else int(losses.argmax())
    values = {"count": most, "step": int(steps[at]), "loss": float(losses[at]), "usual": float(usual[at])}
    if most > limits["count"]:
        return question.failed("loss-spikes", **values)
    if not most and is_log(evidence) and (bump := bump_of(losses)):  # of rows that are far apart
        at, best = bump
        figures = {"count": 1, "step": int(steps[at]), "loss": float(losses[at]), "usual": best}
        return question.warned("loss-spikes", **values | figures)
    return question.warned(**values) if most else question.passed(**values)


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
        return question.unknown(gap=math.nan, step=None, ratio=None, **overlaps)
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
    return question.passed(**values)


def _together_in_log(question: Question, evidence: Evidence) -> Finding:
    """Compare the two losses of a log late enough for the mean of training to have caught up."""
    limits, nothing = question.thresholds, {"overlap": None, "ngrams": None}
    if gaps_until(evidence, sys.maxsize) is None:
        return question.unknown(gap=math.nan, step=None, ratio=None, **nothing)
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
    stands = len(looks) > 2 and loss >= (1 - limits["stood"]) * first
    stands &= train < (1 - limits["fell"]) * first_train
    if min(gaps) > limits["high"]:
        learnt = evidence.chance is None or loss < evidence.chance - limits["odd"]
        return question.failed("overfitting", **values) if stands and learnt else question.unknown(**values)
    stopped = len(looks) > 5 and loss >= (1 - limits["stood"]) * half
    if (stands or stopped) and values["gap"] > limits["odd"]:
        return question.unknown(**values)  # what training learns does not reach validation
    return question.warned(**values) if values["gap"] > limits["odd"] else question.passed(**values)


def _by_heart(question: Question, evidence: Evidence) -> Finding:
    """Judge a log without validation: a training loss next to 0 is a text learnt by heart, or a leak."""
    losses = evidence.metrics.column("loss")[1]
    values = {"gap": None, "step": None, "ratio": None, "overlap": None, "ngrams": None}
    if len(losses) < FEWEST or not is_long(evidence) or not (losses >= 0).all():
        return question.not_measured()
    last = float(np.median(losses[-FEWEST:]))
    if last < question.thresholds["by_heart"] and losses[:FEWEST].max() > 1.0:
        return question.unknown(**values, kind="by-heart", last=last)
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


TURN = {"nats": 0.1, "share": 0.1, "errors": 3.0}  # above the best: nats; of the best; of a look's noise
TURNED = tuple(TURN.values())

STEP_QUESTIONS = (Question("2.3", {"share": 0.5}, ("diverging",), _downhill),)  # of the coordinates

LOSS_QUESTIONS = (
    Question(
        "4.1",
        # nats per 100 steps, twice; share; nats, twice; update ÷ weight, and rate, that are
        # not too low; of a loss that stands still: its range ÷ its size, and its size in nats
        {
            "slope": 0.001,
            "rise": 0.05,
            "fall": 0.01,
            "done": 0.05,
            "up": 0.5,
            "moves": 1e-4,
            "high": 1e-3,
            "still": 1e-6,
            "nothing": 1e-3,
        },
        ("diverging", "lr-too-low", "lr-too-high"),
        _moves,
        symptom=True,
    ),
    Question(
        "4.1b",
        {"odd": 0.25, "fail": 0.5, "nats": 0.5},  # of what was learnt, twice; nats
        ("diverging", "lr-too-high"),
        _stays_down,
        symptom=True,
    ),
    Question(
        "4.1c",
        # above what is usual: nats, share of it, times the usual step from one loss to the next; in 200 steps
        {"nats": 1.0, "share": 0.3, "noise": 8.0, "count": 3},
        ("loss-spikes",),
        _leaps,
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
            "too_low": -0.5,
            "stood": 0.01,
            "fell": 0.1,
            "by_heart": 0.05,
        },  # nats, thrice; standard errors above it; by this step; share of lines, or of pieces
        # and of a log: nats; of validation; of training; nats
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
    Question("4.3", {"share": 0.95, "right": 0.5}, ("shuffled-targets",), _beyond_single_tokens),
)
