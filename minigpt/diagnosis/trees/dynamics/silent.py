"""Section 11: what makes no noise: weights that others write or nobody moves, a flat loss, odd logs."""

from __future__ import annotations

import math

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import NeverLearnt, Noise, Observed, Owners, Source
from minigpt.runs.thresholds import (
    NOISE_RATIO,
    NOISE_TIMES,
    PLATEAU_FALL,
    PLATEAU_NEAR,
    PLATEAU_SHARE,
    PLATEAU_STEPS,
    REPEATED_SHARE,
    SLOW_FACTOR,
    SLOW_FIRST,
)

FEWEST = 200  # steps that a model needs to learn more than how frequent each token is
WARM = 5  # first steps, which load and compile


def _only_the_optimizer_writes(question: Question, evidence: Evidence) -> Finding:
    """Judge the audits of every tensor, and what a monitor saw of one of them at every step."""
    found = [probe for probe in evidence.audits.get(Owners.kind, ()) if probe.changed is not None]
    observed = evidence.audits.get(Observed.kind, ())
    closely = observed[-1].writes if observed else None
    if not found and not closely:
        return question.not_measured()
    changed = [(name, probe.step) for probe in found for name in probe.changed or ()]
    if closely and closely["times"]:
        changed.append((closely["name"], closely["first"]))
    names = dict.fromkeys(name for name, _ in changed)
    name, step = min(changed, key=lambda one: one[1], default=("–", None))
    values = {"count": len(names), "name": name, "step": step}
    return question.failed("writes-outside-optimizer", **values) if changed else question.passed(**values)


def _everything_had_a_gradient(question: Question, evidence: Evidence) -> Finding:
    found = evidence.audits.get(NeverLearnt.kind)
    if not found or found[-1].names is None:
        return question.not_measured()
    names = found[-1].names
    values = {"count": len(names), "name": names[0] if names else "–"}
    return question.failed("dead-gate", **values) if names else question.passed(**values)


def _logged_once(question: Question, evidence: Evidence) -> Finding:
    steps = evidence.metrics.column("loss")[0]
    if len(steps) < 2:
        return question.not_measured()
    distinct, counts = np.unique(steps, return_counts=True)
    repeated = counts > 1
    values = {"share": float(repeated.mean()), "step": None}
    if not repeated.any():
        return question.passed(**values)
    values["step"] = int(distinct[repeated.argmax()])
    if values["share"] > question.thresholds["share"]:
        return question.failed("duplicate-logging", **values)
    return question.warned(leaf="duplicate-logging", **values)


def _stands_still(losses: np.ndarray) -> tuple[bool, float, float]:
    """Return whether the last stretch of a curve stands still, the most that it may fall there, and its mean.

    The most is the fall of a straight line, and twice its standard error, as a share of the loss.
    """
    width = max(PLATEAU_STEPS, int(PLATEAU_SHARE * len(losses)))
    last = losses[-width:]
    mean = float(last.mean())
    x = np.arange(len(last)) - (len(last) - 1) / 2
    slope = float(x @ last / (x @ x))
    error = math.sqrt(float(((last - mean - slope * x) ** 2).sum()) / max(len(last) - 2, 1) / float(x @ x))
    fall = (-slope + 2 * error) * len(last) / max(mean, 1e-12)
    return fall < PLATEAU_FALL, fall, mean


def _still_learns(question: Question, evidence: Evidence) -> Finding:
    losses = evidence.metrics.column("loss")[1]
    found = evidence.audits.get(Observed.kind)
    entropy = evidence.baselines.unigram_entropy or (found[-1].token_entropy if found else None)
    if len(losses) < FEWEST or not np.isfinite(losses).all() or entropy is None:
        return question.not_measured()
    still, fall, mean = _stands_still(losses)
    values = {"fall": fall, "loss": mean, "entropy": entropy}
    near = question.thresholds["near"]
    if not still or not near * entropy < mean < entropy / near:
        return question.passed(**values)
    if evidence.config is not None and evidence.config.frozen():
        return question.warned(leaf="plateau", **values)  # most of it is not meant to learn
    return question.failed("plateau", **values)


def _signal_above_noise(question: Question, evidence: Evidence) -> Finding:
    limits, losses = question.thresholds, evidence.metrics.column("loss")[1]
    found = [probe for probe in evidence.audits.get(Noise.kind, ()) if probe.tokens]
    if len(found) < limits["times"]:
        return question.not_measured()
    ratios = [probe.scale / probe.tokens if probe.scale else math.inf for probe in found]
    last = ratios[-int(limits["times"]) :]
    lowest = min(last)
    values = {"ratio": lowest if math.isfinite(lowest) else None, "tokens": found[-1].tokens}
    values["trace"], values["step"] = found[-1].trace, found[-1].step
    noisy = lowest > limits["ratio"]
    if noisy and len(losses) >= FEWEST and np.isfinite(losses).all() and _too_little_learnt(evidence, losses):
        return question.failed("noisy-batch", **values)
    return question.passed(**values)


def _too_little_learnt(evidence: Evidence, losses: np.ndarray) -> bool:
    """Return whether the run stands still above the loss of n-grams: late in a good run noise is right."""
    still, _, mean = _stands_still(losses)
    known = evidence.baselines.ngram_loss
    return still and known is not None and mean > known


def _keeps_its_pace(question: Question, evidence: Evidence) -> Finding:
    seconds = evidence.metrics.column("seconds")[1]
    seconds = seconds[np.isfinite(seconds)]
    if evidence.source is Source.LOG or len(seconds) < 2 * SLOW_FIRST:
        return question.not_measured()
    first, last = float(np.median(seconds[WARM:SLOW_FIRST])), float(np.median(seconds[-SLOW_FIRST:]))
    values = {"first": first, "last": last, "ratio": last / max(first, 1e-12)}
    if values["ratio"] > question.thresholds["ratio"]:
        return question.warned(leaf="slow-step", **values)
    return question.passed(**values)


SILENT_QUESTIONS = (
    Question(
        "11.1",
        {},
        ("writes-outside-optimizer",),
        _only_the_optimizer_writes,
        tree="dynamics",
    ),
    Question("11.2", {}, ("dead-gate",), _everything_had_a_gradient, tree="dynamics"),
    Question("11.3", {"share": REPEATED_SHARE}, ("duplicate-logging",), _logged_once, tree="dynamics"),
    Question(
        "11.4",
        {"fall": PLATEAU_FALL, "near": PLATEAU_NEAR},  # of the loss; × the entropy of single tokens
        ("plateau",),
        _still_learns,
        symptom=True,
        tree="dynamics",
    ),
    Question(
        "11.5",
        {"ratio": NOISE_RATIO, "times": NOISE_TIMES},  # × the tokens of a step; in a row
        ("noisy-batch",),
        _signal_above_noise,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question("11.6", {"ratio": SLOW_FACTOR}, ("slow-step",), _keeps_its_pace, tree="dynamics"),
)
