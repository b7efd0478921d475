"""Section 4: are the losses moving, and together?"""

from __future__ import annotations

import math

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.logged import (
    NO_FIGURES,
    bump_of,
    curve_of,
    falls,
    first_that_is_none,
    highest_rate,
    is_log,
    is_long,
    lost_on_the_ramp,
    rates_at,
    validation_keeps_falling,
)
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.diagnosis.trees.configuration.validation import VALIDATION_QUESTIONS
from minigpt.diagnosis.trees.leaps import beat, fresh_start
from minigpt.diagnosis.trees.series import most_in_a_window, usual_before
from minigpt.runs.evidence import Evidence
from minigpt.runs.thresholds import NO_LOSS

EMA_STEPS = 50
EARLY, LATER = 50, 200  # the steps that are compared
FEWEST = 10  # logged losses that show a trend
SURROGATE = 0.1  # nats; a loss that begins nearer to 0 than this, and falls below it, weighs advantages,
UNTOLD = 1.0  # while the logits say that their cross-entropy is larger than this, or none


def _is_surrogate(evidence: Evidence) -> bool:
    """Return whether the loss of a watched loop is that of a policy, whose height means nothing."""
    losses, told = evidence.metrics.column("loss")[1], evidence.start.cross_entropy
    if not evidence.start.other_loss and (told is None or told < UNTOLD):
        return False
    finite = bool(len(losses)) and bool(np.isfinite(losses).all())
    return finite and losses.min() < 0 and float(np.abs(losses[:FEWEST]).max()) < SURROGATE


def _moves(question: Question, evidence: Evidence) -> Finding:
    limits, (steps, logged) = question.thresholds, evidence.metrics.column("loss")
    if is_log(evidence):
        return falls(question, evidence)
    if _is_surrogate(evidence):
        return question.not_measured()
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
    if _is_surrogate(evidence):
        return question.not_measured()
    if log:
        steps, losses = curve_of(evidence)
    if len(steps):
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
    if log and not evidence.starts_from_checkpoint and (step := fresh_start(steps, losses)) is not None:
        return question.unknown(**values, step=step, kind="fresh")
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
    if is_log(evidence) and (found := beat(steps, losses, rates_at(evidence, steps))) is not None:
        return question.unknown(**values | found._asdict(), kind="beat")
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
    *VALIDATION_QUESTIONS,
    Question("4.3", {"share": 0.95, "right": 0.5}, ("shuffled-targets",), _beyond_single_tokens),
)
