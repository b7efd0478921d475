"""Section 6: updates that are rounded away, differ over processes, or are too large for the model."""

from __future__ import annotations

import math

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence

FEWEST = 200  # steps after which a model has learnt more than how frequent each token is
WIDTH = 30  # steps that are averaged


def _survives_rounding(question: Question, evidence: Evidence) -> Finding:
    rounding, limits = observed(evidence, "rounding"), question.thresholds
    if not rounding:
        return question.not_measured()
    still = rounding["gains_still"]
    values = {"lost": rounding["lost"], "still": still, "dtype": rounding["dtype"]}
    if rounding["lost"] > limits["lost"] and (still is None or still > limits["still"]):
        return question.failed("lost-updates", **values)
    high = rounding["lost"] > limits["odd"]
    return question.warned(**values) if high else question.passed(**values)


def _copies_stay_equal(question: Question, evidence: Evidence) -> Finding:
    ranks = observed(evidence, "ranks")
    if not ranks or ranks["compared"] < question.thresholds["compared"]:
        return question.not_measured()
    values = {"rank": ranks["rank"], "step": ranks["step"], "apart": ranks["apart"]}
    if ranks["step"] is None:
        return question.passed(**values)
    # parts of one model, each on its own process, differ from the start
    if ranks["began_equal"] and ranks["apart"] > question.thresholds["apart"]:
        return question.failed("ranks-apart", **values)
    return question.warned(**values)


def _bearable_rate(question: Question, evidence: Evidence) -> Finding:
    """Ask whether a run that learnt nothing but the frequency of its tokens moves too far in each step."""
    entropy, limits = observed(evidence, "token_entropy"), question.thresholds
    update = observed(evidence, "relative_update")
    steps, losses = evidence.metrics.column("loss")
    if entropy is None or update is None or len(losses) < FEWEST or not np.isfinite(losses).all():
        return question.not_measured()
    first, chance = evidence.start.cross_entropy, evidence.chance
    if first is None or chance is None or evidence.starts_from_checkpoint:
        return question.not_measured()
    if first > chance + limits["start"]:
        return question.not_measured()  # it fell from a height, and the rate has no part in that
    shares = evidence.start.target_offset_share
    if shares is not None and shares["1"] < limits["next"]:
        return (
            question.not_measured()
        )  # who fills in masks reads them too, so the entropy of what is read is low
    means = np.convolve(losses, np.full(WIDTH, 1 / WIDTH), "valid")
    last, middle = float(means[-1]), float(means[len(means) // 2])
    values = {
        "loss": last,
        "entropy": entropy,
        "update": update,
        "jump": float(losses[:20].max() - losses[0]),
    }
    if last < limits["share"] * entropy:
        return question.passed(**values)
    # what batches differ by must not pass for standing still
    parts = losses[-WIDTH:], losses[(len(losses) - WIDTH) // 2 :][:WIDTH]
    noise = math.sqrt(sum(part.var() for part in parts) / WIDTH)
    still = middle - last + 2 * noise < limits["fall"] * entropy
    jumped = values["jump"] > limits["jump"] and update > limits["moves"]
    if (update > limits["update"] and still) or jumped:
        return question.failed("lr-too-high", **values)
    if update < limits["least"] and not _still_warms_up(evidence):
        return question.failed("lr-too-low", **values)
    falls = middle - last > 2 * noise
    if (still and last > limits["stuck"] * entropy) or (update > limits["update"] and not falls):
        return question.unknown(**values)
    return question.warned(**values)


def _still_warms_up(evidence: Evidence) -> bool:
    """Return whether a rate is highest at the end, so that larger updates may be to come."""
    for name in evidence.metrics.names():
        rates = evidence.metrics.column(name)[1]
        if name.startswith("lr.") and len(rates) and rates[-1] > rates[0] and rates[-1] >= 0.99 * rates.max():
            return True
    return False


UPDATE_QUESTIONS = (
    Question(
        "6.4",
        {"lost": 0.5, "odd": 0.2, "still": 0.9},  # shares of updates; of gains that are where they began
        ("lost-updates",),
        _survives_rounding,
    ),
    # checksums that were compared; distance of the copies, in that which they have moved
    Question("6.5", {"compared": 3, "apart": 1e-3}, ("ranks-apart",), _copies_stay_equal),
    Question(
        "6.6",
        # of the entropy of single tokens, twice; update ÷ weight; nats in the first 20 steps; fall, of the
        # entropy; nats above ln V at the start; update ÷ weight from which anything is learnt, and that makes
        # a loss jump; share of the targets that are the next token
        {
            "share": 0.93,
            "stuck": 0.97,
            "update": 0.02,
            "jump": 0.5,
            "fall": 0.01,
            "start": 1.76,
            "least": 1e-4,
            "moves": 1e-3,
            "next": 0.5,
        },
        ("lr-too-high", "lr-too-low"),
        _bearable_rate,
    ),
)
