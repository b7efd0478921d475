"""Section 7: where numbers stop being finite, and what an fp16 loss scale does about it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import LogNotes, NonFinite, Source
from minigpt.runs.thresholds import SCALE_LOG2, SCALE_SKIPS, UNDERFLOW, UNDERFLOW_ODD

RISE = 1.0  # nats that the loss had risen before: then it diverged, and the module is only where it ended
BEFORE = 5  # losses


def _first_module(question: Question, evidence: Evidence) -> Finding:
    found = evidence.audits.get(NonFinite.kind)
    if not found or found[0].module is None:
        return question.not_measured()
    first = found[0]
    values = {"module": first.module, "step": first.step, "kind": first.phase}
    steps, losses = evidence.metrics.column("loss")
    finite = losses[(steps < first.step) & np.isfinite(losses)]
    recovered = len(losses) and np.isfinite(losses[-1]) and steps[-1] > first.step
    rose = len(finite) > BEFORE and finite[-BEFORE:].max() - np.sort(finite)[: len(finite) // 2].max() > RISE
    if recovered or rose:
        return question.warned(leaf="nan-loss", **values)
    return question.failed("nan-loss", **values)


def _scale_settles(question: Question, evidence: Evidence) -> Finding:
    skipped, scales = evidence.metrics.column("skipped")[1], evidence.metrics.column("scale")[1]
    if evidence.source is Source.LOG:
        return _scale_of_a_log(question, evidence, scales)
    if not len(skipped) or not len(scales):
        return question.not_measured()
    longest = run = 0
    for skip in skipped.tolist():
        run = run + 1 if skip else 0
        longest = max(longest, run)
    halvings = max(0, math.ceil(math.log2(scales[0]) - SCALE_LOG2)) if scales[0] > 0 else 0
    most = int(halvings + question.thresholds["skips"])
    values = {"skipped": longest, "most": most, "first": float(scales[0]), "last": float(scales[-1])}
    fell = scales[-1] < question.thresholds["floor"] <= scales[0]
    if longest > most or fell:
        return question.failed("fp16-overflow", **values)
    return question.passed(**values)


def _scale_of_a_log(question: Question, evidence: Evidence, scales: NDArray[np.float64]) -> Finding:
    """Judge what a trainer prints of its loss scale: each overflow, or the scale beside the loss."""
    limits, told = question.thresholds, evidence.audit(LogNotes).overflows
    count, first, last = told or (0, *((scales[0], scales[-1]) if len(scales) else (0.0, 0.0)))
    halvings = max(0, math.ceil(math.log2(first) - SCALE_LOG2)) if first > 0 else 0
    most = int(halvings + limits["skips"])
    values = {"skipped": int(count), "most": most, "first": float(first), "last": float(last), "kind": "log"}
    if count > most or last <= limits["floor"] and first >= limits["fell"] * max(last, limits["floor"]):
        return question.failed("fp16-overflow", **values)
    return question.passed(**values) if told else question.not_measured()


def _scaled_in_order(question: Question, evidence: Evidence) -> Finding:
    scaling = evidence.rehearsal.scaling or {}
    clip, updated, whole = (scaling.get(name) for name in ("clip_ratio", "updates", "whole_window"))
    left = evidence.config.clip_norm if evidence.config else None
    if (scale := observed(evidence, "loss_scale")) and left:
        values = {"left": left, "scale": scale, "asked": left * scale}
        if left < question.thresholds["left"] < left * scale:  # of a norm that is usual before the division
            return question.failed("clip-before-unscale", **values, kind="seen")
    if clip is None and updated is None and whole is None:
        return question.not_measured()
    values = {"clip": clip, "updated": _as_word(updated), "whole": _as_word(whole)}
    scaled = isinstance(evidence.config, Config) and evidence.config.precision == "fp16"
    far = question.thresholds["clip"]
    if scaled and clip is not None and not 1 / far < clip < far:
        return question.failed("clip-before-unscale", **values)
    if scaled and updated is False:
        return question.failed("scaler-not-updated", **values)
    if whole is False:
        return question.failed("partial-window", **values)
    return question.passed(**values)


def _as_word(value: bool | None) -> str | None:
    return None if value is None else "✓" if value else "✗"


def _survives_half_precision(question: Question, evidence: Evidence) -> Finding:
    scaling = evidence.rehearsal.scaling or {}
    zeros, usual = scaling.get("zeros"), scaling.get("zeros_fp32")
    if zeros is None or usual is None:
        return question.not_measured()
    values = {"zeros": zeros, "usual": usual, "lost": zeros - usual}
    if values["lost"] > question.thresholds["fail"]:
        return question.failed("fp16-underflow", **values)
    if values["lost"] > question.thresholds["odd"]:
        return question.warned(leaf="fp16-underflow", **values)
    return question.passed(**values)


NON_FINITE_QUESTIONS = (
    Question("7.1", {}, ("nan-loss",), _first_module, tree="dynamics"),
    Question(
        "7.2",
        {
            "skips": SCALE_SKIPS,
            "floor": 1.0,
            "fell": 1024.0,
        },  # in a row, beyond the halvings down to 2^16; of the
        # scale; and how far the scale of a log has fallen by then
        ("fp16-overflow",),
        _scale_settles,
        tree="dynamics",
    ),
    Question(
        "7.3",
        {"clip": 1.5, "left": 0.005},  # norm that clipping saw ÷ the true one; norm that it may leave
        ("clip-before-unscale", "scaler-not-updated", "partial-window"),
        _scaled_in_order,
        tree="dynamics",
    ),
    Question(
        "7.4",
        {"odd": UNDERFLOW_ODD, "fail": UNDERFLOW},  # share of gradients
        ("fp16-underflow",),
        _survives_half_precision,
        tree="dynamics",
    ),
)
