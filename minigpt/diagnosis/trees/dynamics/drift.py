"""Section 9: what grows or is lost slowly: attention logits, output logits, validation, old tasks, units."""

from __future__ import annotations

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.series import noise_of
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Attention, Logits, Observed, Units
from minigpt.runs.thresholds import (
    ATTENTION_ENTROPY,
    ATTENTION_LOGIT,
    ATTENTION_LOGIT_BROKEN,
    DEAD_SHARE,
    FORGOTTEN,
    GROWTH,
    LOG_Z_DRIFT,
    ONSET_ERRORS,
    ONSET_NATS,
)

AFTER = 3  # evaluations past the best that show an onset
LATE = 100  # steps after which the output logits have found their level


def _attention_logits(question: Question, evidence: Evidence) -> Finding:
    limits = question.thresholds
    found = [probe for probe in evidence.audits.get(Attention.kind, ()) if probe.max_logit and probe.entropy]
    if not found:
        return _scores_of_others(question, evidence)
    worst = max(found, key=lambda probe: max(probe.max_logit))
    layer = int(np.argmax(worst.max_logit))
    entropy = min(min(probe.entropy) for probe in found)
    values = {"logit": worst.max_logit[layer], "layer": layer, "step": worst.step, "entropy": entropy}
    broken = any(
        logit > limits["broken"] and spread < limits["entropy"]
        for probe in found
        for logit, spread in zip(probe.max_logit, probe.entropy, strict=False)
    )
    if broken:
        return question.failed("attention-logit-growth", **values)
    if values["logit"] > limits["high"]:
        return question.warned(leaf="attention-logit-growth", **values)
    return question.passed(**values)


def _scores_of_others(question: Question, evidence: Evidence) -> Finding:
    """The same of another model, as a monitor saw it at some steps."""
    observed, limits = evidence.audits.get(Observed.kind, ()), question.thresholds
    later = (observed[-1].later if observed else None) or {}
    if "attention_logit" not in later:
        return question.not_measured()
    stuck = later.get("attention_saturated", 0.0)
    values = {"logit": later["attention_logit"], "layer": None, "step": later["attention_logit_step"]}
    values["entropy"] = limits["entropy"] if stuck else None
    if stuck > limits["broken"]:
        return question.failed("attention-logit-growth", **values)
    if values["logit"] > limits["high"]:
        return question.warned(leaf="attention-logit-growth", **values)
    return question.passed(**values)


def _output_logits(question: Question, evidence: Evidence) -> Finding:
    limits = question.thresholds
    found = [p for p in evidence.audits.get(Logits.kind, ()) if p.log_z is not None and p.step >= LATE]
    if len(found) < 2:
        return question.not_measured()
    first, last = found[0], found[-1]
    growth = {
        "gain": _ratio(last.gain_rms, first.gain_rms),
        "wte": _ratio(last.wte_rms, first.wte_rms),
    }
    values = {"drift": last.log_z - first.log_z, "from_step": first.step, "step": last.step, **growth}
    large = abs(values["drift"]) > limits["drift"] or max(growth.values()) > limits["growth"]
    return question.warned(leaf="output-logit-drift", **values) if large else question.passed(**values)


def _ratio(last: float | None, first: float | None) -> float:
    return last / first if last and first else 1.0


def _keeps_what_it_validated(question: Question, evidence: Evidence) -> Finding:
    limits = question.thresholds
    looks, losses = evidence.validated()
    steps, train = evidence.metrics.column("loss")
    if len(losses) <= AFTER + 1 or not len(train):
        return question.not_measured()
    best = int(losses.argmin())
    after = losses[best + 1 :]
    # noise of one look, by the differences of neighbours: a curve that falls smoothly has little
    noise = noise_of(losses, order=2) if len(losses) > 3 else 0.0
    width = max(1, min(50, len(train) // 10))
    at = int(np.clip(np.searchsorted(steps, looks[best], side="right"), width, len(train)))
    then, now = float(np.mean(train[at - width : at])), float(np.mean(train[-width:]))
    values = {"step": int(looks[best]), "best": float(losses[best]), "last": float(losses[-1])}
    values |= {"train_then": then, "train_now": now}
    if len(after) < AFTER or not np.isfinite(then + now):
        return question.passed(**values)
    rise = float(after[-AFTER:].min() - losses[best])
    if rise > max(limits["nats"], limits["errors"] * noise) and now < then - limits["nats"]:
        return question.failed("overfit-onset", **values)
    return question.passed(**values)


def _keeps_old_tasks(question: Question, evidence: Evidence) -> Finding:
    forgotten = {}
    for name in evidence.metrics.names():
        if name.startswith("tasks."):
            losses = evidence.metrics.column(name)[1]
            losses = losses[np.isfinite(losses)]
            if len(losses) > 1:
                forgotten[name.removeprefix("tasks.")] = (float(losses.min()), float(losses[-1]))
    if not forgotten:
        return question.not_measured()
    task = max(forgotten, key=lambda name: forgotten[name][1] - forgotten[name][0])
    best, last = forgotten[task]
    values = {"task": task, "best": best, "last": last, "lost": last - best}
    if values["lost"] > question.thresholds["nats"]:
        return question.failed("forgetting", **values)
    return question.passed(**values)


def _units_take_part(question: Question, evidence: Evidence) -> Finding:
    found = [probe for probe in evidence.audits.get(Units.kind, ()) if probe.inactive]
    if not found:
        return question.not_measured()
    last = found[-1]
    layer = int(np.argmax(last.inactive))
    rank = min(last.rank) if last.rank else None
    values = {"share": last.inactive[layer], "layer": layer, "rank": rank, "step": last.step}
    if values["share"] > question.thresholds["share"]:
        return question.warned(leaf="dead-units", **values)
    return question.passed(**values)


DRIFT_QUESTIONS = (
    Question(
        "9.1",
        # |q·k/√d|, twice; entropy ÷ ln(tokens seen)
        {"high": ATTENTION_LOGIT, "broken": ATTENTION_LOGIT_BROKEN, "entropy": ATTENTION_ENTROPY},
        ("attention-logit-growth",),
        _attention_logits,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question(
        "9.2",
        {"drift": LOG_Z_DRIFT, "growth": GROWTH},  # nats; × the first figure
        ("output-logit-drift",),
        _output_logits,
        tree="dynamics",
    ),
    Question(
        "9.3",
        {"nats": ONSET_NATS, "errors": ONSET_ERRORS},  # nats, of validation and of training; of one look
        ("overfit-onset",),
        _keeps_what_it_validated,
        symptom=True,
        tree="dynamics",
    ),
    Question(
        "9.4",
        {"nats": FORGOTTEN},
        ("forgetting",),
        _keeps_old_tasks,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question("9.5", {"share": DEAD_SHARE}, ("dead-units",), _units_take_part, tree="dynamics"),
)
