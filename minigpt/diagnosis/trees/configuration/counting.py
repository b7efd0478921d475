"""Section 2: a schedule is stepped once for each step of its optimizer, and holds still in between."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _one_for_each_step(question: Question, evidence: Evidence) -> Finding:
    scheduler, passes = observed(evidence, "scheduler"), observed(evidence, "passes") or {}
    unsteady = passes.get("unsteady_share", 0.0)
    if not scheduler and not unsteady:
        return question.not_measured()
    scheduler = scheduler or {"kind": "–", "each": None}
    values = {"kind": scheduler["kind"], "each": scheduler["each"], "unsteady": unsteady}
    if unsteady > question.thresholds["unsteady"] or (values["each"] or 0.0) > question.thresholds["each"]:
        return question.failed("schedule-step-unit", **values)
    return question.passed(**values)


COUNTING_QUESTIONS = (
    # scheduler steps for each optimizer step; share of the steps within which the rate changes
    Question("2.5", {"each": 1.5, "unsteady": 0.5}, ("schedule-step-unit",), _one_for_each_step),
)
