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


def _answers_alike(question: Question, evidence: Evidence) -> Finding:
    """Ask whether the same rows get the same logits twice; dropout that is a function call heeds no mode."""
    later = observed(evidence, "later") or {}
    if "restless" not in later:
        return question.passed(change=0.0, step=None) if "mixing" in later else question.not_measured()
    values = {"change": later["restless"], "step": later.get("restless_step", 0)}
    if values["change"] <= question.thresholds["change"]:
        return question.passed(**values)
    evaluated = len(evidence.metrics.column("val_loss")[1]) > 0
    return question.failed("mode-left-on", **values) if evaluated else question.warned(**values)


MODE_QUESTIONS = (
    Question("5.3", {"off": 0.05}, ("mode-left-on",), _in_the_right_mode),  # share of the steps
    # of the logits, in their spread, from one evaluation of the same rows to the next
    Question("5.3b", {"change": 0.01}, ("mode-left-on",), _answers_alike),
)
