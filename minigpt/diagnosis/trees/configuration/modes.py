"""Section 5, modes: dropout is on while the model learns, and off while it is evaluated."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _in_the_right_mode(question: Question, evidence: Evidence) -> Finding:
    modes, limits = observed(evidence, "modes"), question.thresholds
    if not modes:
        return question.not_measured()
    values = {
        "name": modes["name"],
        "off": modes["off"],
        "step": modes["left_at"],
        "evaluations": modes["evaluations"],
        "on": modes["evaluated_on"],
    }
    switched = modes["began_on"] and modes["off"] > limits["off"]
    evaluated = modes["evaluations"] and modes["evaluated_on"] == modes["evaluations"]
    if switched or evaluated:
        return question.failed("mode-left-on", **values)
    return question.warned(**values) if modes["off"] or modes["evaluated_on"] else question.passed(**values)


MODE_QUESTIONS = (
    Question("5.3", {"off": 0.05}, ("mode-left-on",), _in_the_right_mode),
)  # share of the steps
