"""Section 5, scales: tables that are added are drawn alike, and layers keep the size of their input."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence
from minigpt.runs.thresholds import POSITIONS


def _tables_alike(question: Question, evidence: Evidence) -> Finding:
    if place := observed(evidence, "one_place"):
        return question.unknown(name=place, ratio=None, kind="place")
    tables = (observed(evidence, "scales") or {}).get("tables")
    if not tables or evidence.starts_from_checkpoint:
        return question.not_measured()
    tokens = {n: size for n, size in tables.items() if not any(part in n.lower() for part in POSITIONS)}
    if not tokens or len(tokens) == len(tables):
        return question.not_measured()
    name = max(tables.keys() - tokens.keys(), key=lambda name: tables[name])
    smallest = min(tokens.values())
    if smallest <= 0:
        return question.not_measured()
    values = {"name": name, "ratio": tables[name] / smallest}
    if values["ratio"] > question.thresholds["fail"]:
        return question.failed("init-scale", **values)
    high = values["ratio"] > question.thresholds["high"]
    return question.warned(**values) if high else question.passed(**values)


def _gains_in_range(question: Question, evidence: Evidence) -> Finding:
    """Ask of a fresh model whether a layer makes its input many times larger, or most make it tiny."""
    gains, limits = (observed(evidence, "scales") or {}).get("gains"), question.thresholds
    if not gains or evidence.starts_from_checkpoint:
        return question.not_measured()
    largest = max(gains, key=lambda name: gains[name])
    usual = sorted(gains.values())[len(gains) // 2]
    values = {"name": largest, "gain": gains[largest], "usual": usual}
    means = (observed(evidence, "scales") or {}).get("means") or {}
    off = [name for name, mean in means.items() if mean > limits["mean"]]
    if off and 2 * len(off) >= len(means):  # drawn from 0 upwards, or all alike
        return question.failed("weight-mean", **values | {"name": off[0], "mean": means[off[0]]})
    if values["gain"] > limits["fail_high"] or usual < limits["fail_low"]:
        return question.failed("init-scale", **values)
    odd = values["gain"] > limits["high"] or usual < limits["low"]
    return question.warned(**values) if odd else question.passed(**values)


SCALE_QUESTIONS = (
    Question("5.4", {"high": 5.0, "fail": 20.0}, ("init-scale",), _tables_alike),  # positions ÷ tokens
    Question(
        "5.5",
        # std × √inputs of one layer; the same, of the layer in the middle; mean ÷ size of weights, in most
        {"high": 2.5, "fail_high": 4.0, "low": 0.02, "fail_low": 0.005, "mean": 0.5},
        ("init-scale", "weight-mean"),
        _gains_in_range,
    ),
)
