"""Section 6: is the optimizer coherent? What the dress rehearsal saw it do."""

from __future__ import annotations

import math

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import REHEARSAL_STEPS


def _decay_where_it_belongs(question: Question, evidence: Evidence) -> Finding:
    decaying = evidence.rehearsal.decaying
    if decaying is None:
        return question.not_measured()
    vectors, matrices = decaying["vectors"], decaying["matrices_without"]
    asked = evidence.config is None or evidence.config.weight_decay > 0
    values = {"vectors": len(vectors), "matrices": len(matrices)}
    # one group for all is how most loops begin: odd, but nobody's mistake of sorting
    if vectors and evidence.rehearsal.decay_split is not False:
        return question.failed("decay-groups", **values)
    if vectors:
        return question.warned(**values)
    return question.warned(**values) if matrices and asked else question.passed(**values)


def _state_is_kept(question: Question, evidence: Evidence) -> Finding:
    counted = evidence.rehearsal.steps_counted
    if evidence.rehearsal.resumes and evidence.rehearsal.resumed_moments is False:
        return question.failed("lost-optimizer-state", counted=0, steps=REHEARSAL_STEPS, kept=0.0)
    if counted is None or not math.isfinite(counted):
        return question.not_measured()
    values = {"counted": round(counted * REHEARSAL_STEPS), "steps": REHEARSAL_STEPS}
    if counted < 1 and evidence.rehearsal.counter_stands:
        return question.warned(**values)  # what that does to the updates is question 6.2b's
    if counted < 1:
        return question.failed("lost-optimizer-state", **values, kept=float(counted))
    return question.passed(**values)


# an update ÷ the right one, by β1, β2 and the step, where a moment is not corrected, or as in the first step
WRONG_LAWS = (
    lambda one, two, t: (1 - one**t) / (1 - two**t) ** 0.5,  # neither
    lambda one, two, t: 1 - one**t,  # not the first
    lambda one, two, t: (1 - two**t) ** -0.5,  # not the second
    lambda one, two, t: (1 - one**t) / (1 - one) * ((1 - two) / (1 - two**t)) ** 0.5,  # a count that stands
)


def _bias_corrected(question: Question, evidence: Evidence) -> Finding:
    updates, config, near = (
        evidence.rehearsal.first_updates,
        evidence.config,
        question.thresholds["near"],
    )
    # no update is known where the rate was 0
    sizes = {step: update for step, update in enumerate(updates or (), start=1) if update is not None}
    if not sizes or config is None:
        return question.not_measured()
    first, last = min(sizes), max(sizes)
    values = {"first": sizes[first], "last": sizes[last], "steps": last}
    if all(abs(size - 1) < near for size in sizes.values()):
        return question.passed(**values)
    one, two = config.beta1, config.beta2
    for law in WRONG_LAWS:
        wrong = {step: law(one, two, step) for step in sizes}
        if all(abs(size / wrong[step] - 1) < near for step, size in sizes.items()):
            return question.failed("no-bias-correction", **values)
    if evidence.rehearsal.counter_stands:
        return question.failed("no-bias-correction", **values)
    return question.warned(**values)


def _accumulation_adds_up(question: Question, evidence: Evidence) -> Finding:
    ratios, near = evidence.rehearsal.accumulation_ratio, question.thresholds["near"]
    unknown = not ratios or ratios["equal"] is None or evidence.start.unmasked_share == 0
    if unknown or observed(evidence, "adversary"):  # a second gradient that is meant to be added
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


def _epsilon_is_small(question: Question, evidence: Evidence) -> Finding:
    """Ask whether Adam still divides by the size of the gradient, and not by ε alone."""
    if len(evidence.rehearsal.epsilon or ()) != 2:
        return question.not_measured()
    epsilon, share = evidence.rehearsal.epsilon
    values = {"epsilon": epsilon, "share": share}
    if epsilon <= question.thresholds["usual"]:  # where it outweighs a gradient, that is next to nothing
        return question.passed(**values)
    if share > question.thresholds["share"]:
        return question.failed("epsilon-too-large", **values)
    return question.warned(**values) if share > question.thresholds["odd"] else question.passed(**values)


OPTIMIZER_QUESTIONS = (
    Question("6.1", {}, ("decay-groups",), _decay_where_it_belongs),
    Question("6.2", {}, ("lost-optimizer-state",), _state_is_kept),
    Question("6.2b", {"near": 0.1}, ("no-bias-correction",), _bias_corrected),  # relative
    # of the denominator of the usual coordinate, twice; ε as most people set it
    Question("6.2c", {"odd": 0.5, "share": 0.9, "usual": 1e-6}, ("epsilon-too-large",), _epsilon_is_small),
    Question(
        "6.3", {"near": 0.01}, ("accumulation-sum", "accumulation-token-weighting"), _accumulation_adds_up
    ),
)
