"""Section 1: did the run start?"""

from __future__ import annotations

import math

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import mixing_limit, observed
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Source
from minigpt.runs.thresholds import GRADIENT_CRITICAL, NEXT_TOKEN_SHARE, SPIKE_NORM

LARGEST_CHANCE = math.log(1e6)  # no vocabulary in use has more tokens
FEW = 3  # losses that tell where a log begins


def _first_loss(evidence: Evidence) -> float | None:
    """Return the cross-entropy of step 0.

    A monitor reads it off the logits: a loss may hold other terms, be in bits, or score something else. None
    where it is no cross-entropy.
    """
    start = evidence.start
    read = start.cross_entropy is not None or start.other_loss
    return start.cross_entropy if read else evidence.first("loss")


def _above_any_chance(question: Question, evidence: Evidence) -> Finding:
    """Judge a log without its first loss, or without a vocabulary: are its first losses above any chance?"""
    steps, losses = evidence.metrics.column("loss")
    if evidence.source is not Source.LOG or not len(losses):
        return question.not_measured()
    chance, began = evidence.chance or LARGEST_CHANCE, float(np.median(losses[:FEW]))
    if not began > chance + question.thresholds["fail"]:
        return question.not_measured()
    values = {"loss": began, "chance": chance, "vocab_size": evidence.vocab_size, "delta": began - chance}
    return question.unknown(**values, step=int(steps[0]), kind="late" if evidence.chance else "any")


def _starts_at_chance(question: Question, evidence: Evidence) -> Finding:
    limits, loss, chance = question.thresholds, _first_loss(evidence), evidence.chance
    if loss is None or chance is None:
        return _above_any_chance(question, evidence)
    if evidence.starts_from_checkpoint:
        return question.not_measured()
    if evidence.start.unmasked_share == 0:  # a loss over no target says nothing about the weights
        return question.not_measured()
    delta = loss - chance
    values = {"loss": loss, "chance": chance, "vocab_size": evidence.vocab_size, "delta": delta}
    if not math.isfinite(loss):
        return question.unknown(**values)
    if evidence.start.vocabulary_found is False and abs(delta) > limits["high"]:
        return question.unknown(**values)  # no part of the model is as large as the vocabulary that was given
    of_bias = evidence.start.head_bias_loss  # the loss if logits were nothing but the bias
    if delta < limits["low"]:
        if of_bias is not None and of_bias < chance and abs(loss - of_bias) <= limits["high"]:
            return question.passed(**values)  # the bias holds how frequent each token is
        shares, share = evidence.start.target_offset_share or {}, ALIGNED["share"]
        if shares.get("0", 0.0) >= share > shares["1"]:
            return question.warned(**values)  # a fresh model with a tied head repeats what it reads: 1.4's
        if evidence.source is Source.LOG:
            return question.unknown(**values)  # a log names no unit: nats per token or not, mean or not
        told = evidence.source is Source.TRAINER or evidence.start.future_gradient != 0
        if shares.get("1", 0.0) >= share and not told:
            return question.warned("not-untrained", **values)  # a loop that goes on, and nobody said so
        return question.failed("not-untrained", **values)
    if delta <= limits["high"]:
        return question.passed(**values)
    ratio, bias = evidence.start.duplicate_batch_ratio, evidence.start.head_bias_max
    of_bias = loss if of_bias is None else of_bias
    if bias and of_bias - chance > limits["high"] and ratio is not None and ratio <= LOSS_REDUCTION["ratio"]:
        return question.failed("head-bias", **values, ratio=ratio, bias=bias)
    if delta <= limits["fail"]:
        return question.warned(**values)
    if ratio is None or bias is None:
        return question.unknown(**values)
    reduced = ratio > LOSS_REDUCTION["ratio"]
    return question.failed("loss-reduction" if reduced else "init-scale", **values, ratio=ratio, bias=bias)


def _starts_well_below_chance(question: Question, evidence: Evidence) -> Finding:
    loss, chance = _first_loss(evidence), evidence.chance
    if loss is None or chance is None or not evidence.starts_from_checkpoint:
        return question.not_measured()
    values = {"loss": loss, "chance": chance, "share": loss / chance}
    if loss < question.thresholds["share"] * chance:
        return question.passed(**values)
    # a new head on a trained body starts at chance, too: only the targets themselves can tell
    shares = evidence.start.target_offset_share or {}
    if not shares:
        return question.unknown(**values)
    if shares["1"] >= ALIGNED["share"]:
        # gains that are all 1 were never trained: no weight came from that checkpoint
        fresh = (observed(evidence, "scales") or {}).get("norms_untouched")
        return question.unknown(**values) if fresh else question.warned(**values)
    shifted = max(shares.values()) >= ALIGNED["share"]
    return question.failed("target-shift", **values) if shifted else question.unknown(**values)


def _first_gradient(question: Question, evidence: Evidence) -> Finding:
    limits, norm = question.thresholds, evidence.first("grad_norm")
    scaled = (evidence.rehearsal.scaling or {}).get("clip_ratio", 1.0) > 2 and len(
        evidence.metrics.column("scale")[1]
    )
    if norm is None or scaled:  # a norm times the loss scale says nothing of the weights: 7.3 finds that
        return question.not_measured()
    values = {"norm": norm}
    if not math.isfinite(norm):
        return question.unknown(**values)
    if norm > limits["fail_high"]:
        ratio, loss = evidence.start.duplicate_batch_ratio, _first_loss(evidence)
        at_chance = None not in (loss, evidence.chance) and abs(loss - evidence.chance) <= limits["near"]
        if at_chance and ratio is not None and ratio <= LOSS_REDUCTION["ratio"]:
            return question.unknown(**values, kind="at-chance")  # weights of a sane size, and yet
        if ratio is None:  # another loss has a size of its own
            return question.warned(**values) if evidence.start.other_loss else question.unknown(**values)
        return question.failed(
            "loss-reduction" if ratio > LOSS_REDUCTION["ratio"] else "init-scale", **values
        )
    if norm < limits["fail_low"]:
        unmasked, distinct = evidence.start.unmasked_share, evidence.start.distinct_targets
        if unmasked == 0:
            return question.failed("loss-mask-empty", **values)
        return question.failed("degenerate-data", **values) if distinct == 1 else question.unknown(**values)
    if limits["low"] <= norm <= limits["high"]:
        return question.passed(**values)
    return question.warned(**values)


def _mean_loss(question: Question, evidence: Evidence) -> Finding:
    ratio = evidence.start.duplicate_batch_ratio
    if ratio is None or not math.isfinite(ratio):
        return question.not_measured()
    if ratio > question.thresholds["ratio"]:
        return question.failed("loss-reduction", ratio=ratio)
    return question.passed(ratio=ratio)


def _targets_shifted_by_one(question: Question, evidence: Evidence) -> Finding:
    shares, limit = evidence.start.target_offset_share, question.thresholds["share"]
    if not shares or evidence.start.unmasked_share == 0:
        return question.not_measured()
    if (ahead := evidence.start.targets_ahead or 0) >= 1:  # there is a prefix that is no token
        values = {"offset": ahead, "share": 1.0, "right": float(ahead == 1)}
        return question.failed("target-shift", **values) if ahead > 1 else question.passed(**values)
    offset, share = max(shares.items(), key=lambda item: (item[1], item[0] == "1"))
    values = {"offset": int(offset), "share": share, "right": shares["1"]}
    if shares["1"] >= limit:
        return question.passed(**values)
    if share >= limit:
        return question.failed("target-shift", **values)
    if evidence.start.targets_before:
        return question.failed("target-shift", **values | {"offset": -1, "share": 1.0})
    if evidence.start.targets_of_other_rows:
        return question.failed("shuffled-targets", **values)
    # a model that reads a sequence as a whole, or answers at its end, may be asked for anything
    causal = evidence.start.future_gradient == 0
    dense = (evidence.start.unmasked_share or 0.0) >= question.thresholds["dense"]
    if causal and dense and share < question.thresholds["any"]:
        return question.unknown(**values)
    return question.warned(**values)


def _no_look_ahead(question: Question, evidence: Evidence) -> Finding:
    gradient = evidence.start.future_gradient
    if gradient is None:
        return question.not_measured()
    # a mask may hold in a fresh model and give way once the scores have grown
    gradient = max(gradient, (observed(evidence, "later") or {}).get("future_gradient", 0.0))
    if gradient > question.thresholds["gradient"]:
        return question.failed("future-leak", gradient=gradient)
    return question.passed(gradient=gradient)


def _sees_the_past(question: Question, evidence: Evidence) -> Finding:
    """Ask a model that learns by now, for a fresh one may begin with layers that add exactly nothing."""
    later = observed(evidence, "later") or {}
    gradient = later.get("past_gradient")
    if gradient is None:
        return question.not_measured()
    if gradient > 0:
        return question.passed(gradient=gradient)
    if (later.get("mixing") or 0.0) > mixing_limit(later):
        return question.warned(gradient=gradient)  # it sees other rows in their place, as 1.9 says
    return question.failed("past-unseen", gradient=gradient)


def _varied_targets(question: Question, evidence: Evidence) -> Finding:
    unmasked, distinct = evidence.start.unmasked_share, evidence.start.distinct_targets
    if unmasked is None or distinct is None:
        return question.not_measured()
    kinds = observed(evidence, "kinds") or {}
    values = {"unmasked": unmasked, "distinct": distinct}
    if unmasked == 0:
        return question.failed("loss-mask-empty", **values)
    unpadded = kinds.get("padding_share", 0.0) < question.thresholds["padding"]  # which 1.8 speaks of
    dense = kinds.get("dense", 0.0) >= ALIGNED["dense"]
    most = kinds.get("commonest_share", 0.0)
    if distinct > 1 and most > question.thresholds["most"] and dense and unpadded:
        return question.failed("degenerate-data", **values, most=most, kind="commonest")
    if distinct == 1:
        return question.failed("degenerate-data", **values)
    interleaved = kinds.get("interleaved", 0.0)
    if interleaved > question.thresholds["interleaved"]:
        return question.unknown(**values, share=interleaved, kind="interleaved")
    if most > question.thresholds["much"] and dense and unpadded:
        return question.unknown(**values, most=most, token=kinds.get("commonest"), kind="commonest")
    if unmasked < question.thresholds["unmasked"]:
        return question.warned(**values)
    return question.passed(**values)


LOSS_REDUCTION = {"ratio": 1.5}  # half way between a mean (1) and a sum (2)
ALIGNED = {"share": NEXT_TOKEN_SHARE, "any": 0.5, "dense": 0.5}  # of the scored positions, twice; of all

START_QUESTIONS = (
    Question(
        "1.1",
        {"low": -0.5, "high": 0.5, "fail": 1.76},  # loss at step 0 minus ln V, in nats
        ("init-scale", "head-bias", "loss-reduction", "not-untrained"),
        _starts_at_chance,
    ),
    Question("1.1b", {"share": 0.7}, ("target-shift",), _starts_well_below_chance),  # of ln V
    Question(
        "1.2",
        {
            "fail_low": 0.001,
            "low": 0.1,
            "high": GRADIENT_CRITICAL,
            "fail_high": SPIKE_NORM,
            "near": 0.5,
        },  # global gradient norm before clipping; nats between the loss and ln V
        ("init-scale", "loss-reduction", "degenerate-data", "loss-mask-empty"),
        _first_gradient,
    ),
    Question("1.3", LOSS_REDUCTION, ("loss-reduction",), _mean_loss),
    Question("1.4", ALIGNED, ("target-shift", "shuffled-targets"), _targets_shifted_by_one),
    Question("1.5", {"gradient": 0.0}, ("future-leak",), _no_look_ahead),
    Question("1.5b", {}, ("past-unseen",), _sees_the_past),
    Question(
        "1.6",
        # of all positions; of the scored targets that are one token, twice, and that are padding; of the rows
        {"unmasked": 0.1, "most": 0.9, "much": 0.75, "padding": 0.1, "interleaved": 0.9},
        ("loss-mask-empty", "degenerate-data"),
        _varied_targets,
    ),
)
