"""Section 5, layers: every layer of a stack has weights of its own."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _weights_of_their_own(question: Question, evidence: Evidence) -> Finding:
    shared = observed(evidence, "shared")
    if not shared:
        return question.not_measured()
    values = {"name": shared["name"], "count": shared["count"]}
    return question.failed("shared-layers", **values) if values["count"] else question.passed(**values)


LAYER_QUESTIONS = (Question("5.6", {}, ("shared-layers",), _weights_of_their_own),)
