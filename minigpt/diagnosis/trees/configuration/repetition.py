"""Section 4, the data as it comes: another batch in each step, and another order in each epoch."""

from __future__ import annotations

from typing import Any

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _new_data(question: Question, evidence: Evidence) -> Finding:
    batches, limits = observed(evidence, "batches"), question.thresholds
    alike = (observed(evidence, "ranks") or {}).get("same_data")
    if alike is not None and alike > limits["alike"]:
        nothing = {"period": 0, "repeated": 0, "steps": 0, "twice": 0.0, "near": 0.0}
        return question.failed("repeated-batch", **nothing, alike=alike, kind="processes")
    if not batches:
        return question.not_measured()
    period, repeated = batches["period"], batches["repeated"]
    values: dict[str, Any] = {"period": period, "repeated": repeated, "steps": batches["steps"]}
    # what is accumulated at other weights is meant: an adversary has moved them
    twice = 0.0 if observed(evidence, "adversary") else batches.get("accumulated_twice", 0.0)
    values |= {"twice": twice, "alike": alike or 0.0}
    values["near"] = batches.get("near", 0.0)
    if values["twice"] > limits["share"]:
        return question.failed("repeated-batch", **values)
    losses = evidence.metrics.column("loss")[1]
    # a policy is updated on one batch several times, and at its first step looks as if it predicted
    predicts = evidence.start.cross_entropy is not None and not (losses < 0).any()
    if values["near"] > limits["near"] and predicts:
        return question.failed("repeated-batch", **values, kind="workers")
    if not repeated or batches["stream"]:
        return question.passed(**values)
    long = repeated >= min(max(period, limits["run"]), limits["enough"])
    if long and repeated >= limits["share"] * (batches["steps"] - period):
        return question.failed("repeated-batch", **values)
    return question.warned(**values) if repeated >= limits["run"] else question.passed(**values)


REPETITION_QUESTIONS = (
    Question(
        "4.4",
        # share of the steps; steps in a row that repeat earlier ones; so many are enough in a long epoch;
        # shares of the steps in which two processes are given the same, and that repeat one of the last few
        {"share": 0.5, "run": 8, "enough": 50, "alike": 0.9, "near": 0.4},
        ("repeated-batch",),
        _new_data,
    ),
)
