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
    switched |= modes.get("whole_off", 0.0) > limits["off"]  # of it all, since the start
    evaluated = modes["evaluations"] and modes["evaluated_on"] == modes["evaluations"]
    if switched or evaluated:
        return question.failed("mode-left-on", **values)
    return question.warned(**values) if modes["off"] or modes["evaluated_on"] else question.passed(**values)


def _bearable_dropout(question: Question, evidence: Evidence) -> Finding:
    """Ask whether dropout leaves something; a probability to keep, given as one to drop, leaves a tenth."""
    modes = observed(evidence, "modes") or {}
    if "rate" not in modes:
        return question.not_measured()
    values = {"name": modes["highest"], "rate": modes["rate"]}
    high = values["rate"] > question.thresholds["rate"]
    return question.failed("dropout-too-high", **values) if high else question.passed(**values)


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
    # of what a layer is given; large recurrent models were trained with up to 0.65
    Question("5.3c", {"rate": 0.75}, ("dropout-too-high",), _bearable_dropout),
    Question("5.3b", {"change": 0.01}, ("mode-left-on",), _answers_alike),
)
