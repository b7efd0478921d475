"""Section 6: is the optimizer coherent? What the dress rehearsal saw it do."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import REHEARSAL_STEPS


def _decay_where_it_belongs(question: Question, evidence: Evidence) -> Finding:
    decaying = evidence.rehearsal.decaying
    if decaying is None:
        return question.not_measured()
    vectors, matrices = decaying["vectors"], decaying["matrices_without"]
    asked = evidence.config is None or evidence.config.weight_decay > 0
    values = {"vectors": len(vectors), "matrices": len(matrices)}
    if vectors:
        return question.failed("decay-groups", **values)
    return question.warned(**values) if matrices and asked else question.passed(**values)


def _state_is_kept(question: Question, evidence: Evidence) -> Finding:
    counted = evidence.rehearsal.steps_counted
    if counted is None:
        return question.not_measured()
    values = {"counted": round(counted * REHEARSAL_STEPS), "steps": REHEARSAL_STEPS}
    if counted < 1:
        return question.failed("lost-optimizer-state", **values, kept=float(counted))
    return question.passed(**values)


def _bias_corrected(question: Question, evidence: Evidence) -> Finding:
    updates, config, near = (
        evidence.rehearsal.first_updates,
        evidence.config,
        question.thresholds["near"],
    )
    if not updates or config is None:
        return question.not_measured()
    # no update is known where the rate was 0
    sizes = {step: update for step, update in enumerate(updates, start=1) if update is not None}
    first, last = min(sizes), max(sizes)
    values = {"first": sizes[first], "last": sizes[last], "steps": last}
    if all(abs(size - 1) < near for size in sizes.values()):
        return question.passed(**values)
    raw = {step: (1 - config.beta1**step) / (1 - config.beta2**step) ** 0.5 for step in sizes}
    if all(abs(size / raw[step] - 1) < near for step, size in sizes.items()):
        return question.failed("no-bias-correction", **values)
    return question.warned(**values)


def _accumulation_adds_up(question: Question, evidence: Evidence) -> Finding:
    ratios, near = evidence.rehearsal.accumulation_ratio, question.thresholds["near"]
    if not ratios or ratios["equal"] is None or evidence.start.unmasked_share == 0:
        return question.not_measured()
    values = {"equal": ratios["equal"], "unequal": ratios["unequal"]}
    if abs(values["equal"] - 1) > near:
        doubled = abs(values["equal"] / 2 - 1) < near
        return question.failed("accumulation-sum", **values) if doubled else question.unknown(**values)
    if values["unequal"] is None:  # half an answer, which no weighting is acquitted by
        return question.not_measured(**values)
    if abs(values["unequal"] - 1) > near:
        return question.failed("accumulation-token-weighting", **values)
    return question.passed(**values)


OPTIMIZER_QUESTIONS = (
    Question("6.1", {}, ("decay-groups",), _decay_where_it_belongs),
    Question("6.2", {}, ("lost-optimizer-state",), _state_is_kept),
    Question("6.2b", {"near": 0.1}, ("no-bias-correction",), _bias_corrected),  # relative
    Question(
        "6.3", {"near": 0.01}, ("accumulation-sum", "accumulation-token-weighting"), _accumulation_adds_up
    ),
)
