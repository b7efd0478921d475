"""Section 10: a memory that lasts from step to step: gates, size, writes, and scales that wind up."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Statefulness
from minigpt.runs.thresholds import (
    CLAMPED,
    GATE_ENTROPY,
    GATE_MAX_SHARE,
    LEAK,
    MEMORY_DUPLICATES,
    MEMORY_FACTOR,
    MEMORY_WRITES,
)

LAST = 10  # records that a state of the end is read from
FEWEST = 10  # records before anything is said


def _series(evidence: Evidence, name: str) -> dict[str, NDArray[np.float64]]:
    """Return a figure of the memory by layer, the layers that have it."""
    prefix = f"memory.{name}."
    columns = {n.removeprefix(prefix): n for n in evidence.metrics.names() if n.startswith(prefix)}
    found = {layer: evidence.metrics.column(column)[1] for layer, column in columns.items()}
    return {layer: values for layer, values in found.items() if len(values) >= FEWEST}


def _at_the_end(series: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {layer: float(np.median(values[-LAST:])) for layer, values in series.items()}


def _gates_open(question: Question, evidence: Evidence) -> Finding:
    limits = question.thresholds
    entropies = _at_the_end(_series(evidence, "gate_entropy"))
    shares = _at_the_end(_series(evidence, "gate_max_share"))
    if not entropies and not shares:
        return question.not_measured()
    layer = min(entropies, key=lambda name: entropies[name]) if entropies else next(iter(shares))
    fullest = max(shares, key=lambda name: shares[name]) if shares else layer
    entropy, share = entropies.get(layer), shares.get(fullest)
    shut = entropy is not None and entropy < limits["entropy"]
    full = share is not None and share > limits["share"]
    values = {"layer": layer if shut or not full else fullest, "entropy": entropy, "share": share}
    return question.failed("memory-gate-collapse", **values) if shut or full else question.passed(**values)


def _grows_by_a_factor(values: NDArray[np.float64], writes: int, factor: float) -> bool:
    """Return whether a size grew by a factor over the last so many writes, and no slower at their end."""
    finite = values[np.isfinite(values) & (values > 0)]
    changed = finite[np.concatenate([[True], np.diff(finite) != 0])] if len(finite) else finite
    if len(changed) <= writes:
        return False
    logs = np.log(changed[-writes - 1 :])
    half = writes // 2
    first, second = logs[half] - logs[0], logs[-1] - logs[half]
    return bool(logs[-1] - logs[0] > math.log(factor) and second >= 0.8 * first > 0)


def _does_not_feed_itself(question: Question, evidence: Evidence) -> Finding:
    limits, norms = question.thresholds, _series(evidence, "norm")
    if not norms:
        return question.not_measured()
    writes = int(limits["writes"])
    wrong = [
        layer
        for layer, values in norms.items()
        if not np.isfinite(values).all() or _grows_by_a_factor(values, writes, limits["factor"])
    ]
    layer = wrong[0] if wrong else max(norms, key=lambda name: np.nan_to_num(norms[name][-1]))
    finite = norms[layer][np.isfinite(norms[layer])]
    last = float(finite[-1]) if len(finite) else math.nan
    values = {"layer": layer, "first": float(finite[0]) if len(finite) else math.nan, "last": last}
    return question.failed("memory-feedback", **values) if wrong else question.passed(**values)


def _does_not_fill_up(question: Question, evidence: Evidence) -> Finding:
    duplicates, sizes = _at_the_end(_series(evidence, "duplicates")), _series(evidence, "size")
    if not duplicates and not sizes:
        return question.not_measured()
    layer = max(duplicates, key=lambda name: duplicates[name]) if duplicates else next(iter(sizes))
    share = duplicates.get(layer)
    size = float(sizes[layer][-1]) if layer in sizes else None
    values = {"layer": layer, "share": share, "size": size}
    if share is not None and share > question.thresholds["share"]:
        return question.failed("memory-saturation", **values)
    return question.passed(**values)


def _scales_move(question: Question, evidence: Evidence) -> Finding:
    clamped = _at_the_end(_series(evidence, "clamped"))
    if not clamped:
        return question.not_measured()
    layer = max(clamped, key=lambda name: clamped[name])
    values = {"layer": layer, "share": clamped[layer]}
    if values["share"] > question.thresholds["share"]:
        return question.failed("homeostasis-windup", **values)
    return question.passed(**values)


def _newest(evidence: Evidence) -> Statefulness:
    """Return the last answer: a monitor asks again whenever it is asked."""
    found = evidence.audits.get(Statefulness.kind)
    return found[-1] if found else Statefulness()


def _forgets_between_batches(question: Question, evidence: Evidence) -> Finding:
    found = _newest(evidence)
    figures = (found.same_batch, found.row_alone)
    if all(figure is None for figure in figures) and found.evaluation_writes is None:
        return question.not_measured()
    limit = question.thresholds["share"]
    values = {"again": found.same_batch, "alone": found.row_alone}
    values["writes"] = None if found.evaluation_writes is None else "✗" if found.evaluation_writes else "✓"
    leaks = any(figure is not None and not figure <= limit for figure in figures)
    if leaks or found.evaluation_writes:
        return question.failed("memory-leak-across-batches", **values)
    return question.passed(**values)


def _writes_alike(question: Question, evidence: Evidence) -> Finding:
    writes = _newest(evidence).rng_writes
    if writes is None:
        return question.not_measured()
    return question.failed("random-consolidation", same="✗") if writes else question.passed(same="✓")


MEMORY_QUESTIONS = (
    Question(
        "10.1",
        {"share": LEAK},  # of the spread of the logits
        ("memory-leak-across-batches",),
        _forgets_between_batches,
        tree="dynamics",
    ),
    Question("10.2", {}, ("random-consolidation",), _writes_alike, tree="dynamics"),
    Question(
        "10.3",
        {"writes": MEMORY_WRITES, "factor": MEMORY_FACTOR},
        ("memory-feedback",),
        _does_not_feed_itself,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question(
        "10.4",
        {"entropy": GATE_ENTROPY, "share": GATE_MAX_SHARE},  # ÷ ln k; of the tokens
        ("memory-gate-collapse",),
        _gates_open,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question(
        "10.5",
        {"share": MEMORY_DUPLICATES},  # of the slots
        ("memory-saturation",),
        _does_not_fill_up,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question(
        "10.6",
        {"share": CLAMPED},  # of the scales
        ("homeostasis-windup",),
        _scales_move,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
)
