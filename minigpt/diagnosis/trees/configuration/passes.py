"""Section 3, the way from a loss to the weights: backward passes, a gradient scaler, the optimizer."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _every_pass_reaches_a_step(question: Question, evidence: Evidence) -> Finding:
    passes, limits = observed(evidence, "passes"), question.thresholds
    if not passes:
        return question.not_measured()
    values = {"passes": passes["passes"], "steps": passes["steps"], "lost": passes["lost_each"]}
    if not passes["steps"]:
        if passes["passes"] < limits["passes"]:
            return question.not_measured()
        if observed(evidence, "moved"):
            return question.unknown(**values)  # somebody moves the weights in another way
        return question.failed("no-optimizer-step", **values)
    if passes["steps"] < limits["few"] and passes["passes"] >= limits["each"] * passes["steps"]:
        return question.unknown(**values, kind="few")
    few = passes["looked_at"] < limits["steps"]
    if not few and passes["losing_share"] > limits["share"] and passes["lost_each"]:
        return question.failed("lost-accumulation", **values)
    return question.passed(**values)


def _held_by_an_optimizer(question: Question, evidence: Evidence) -> Finding:
    outside = observed(evidence, "outside")
    if not outside:
        return question.not_measured()
    values = {name: outside[name] for name in ("count", "numbers", "name", "replaced")}
    failed = values["count"] > 0
    return question.failed("parameters-outside-model", **values) if failed else question.passed(**values)


def _through_the_scaler(question: Question, evidence: Evidence) -> Finding:
    scaler = observed(evidence, "bypassed_scaler")
    if not scaler or not scaler.get("after") or scaler.get("now") is None:
        return question.not_measured()
    values = {"scale": scaler["scale"], "share": scaler["now"] / scaler["after"]}
    # gradients that somebody has divided meanwhile are as they should be
    still = values["share"] > question.thresholds["share"] and values["scale"] > question.thresholds["scale"]
    if still and (evidence.first("grad_norm") or 0.0) > values["scale"] * question.thresholds["least"]:
        return question.failed("scaler-bypassed", **values)
    return question.warned(**values)


def _taught_by_predictions(question: Question, evidence: Evidence) -> Finding:
    """Ask whether the gradient of the logits alone comes to the weights that they were made with."""
    found, limits = observed(evidence, "cut_off"), question.thresholds
    if not found:
        return question.not_measured()
    values = {name: found.get(name) for name in ("asked", "rounded", "name", "router", "reached")}
    if values["rounded"] >= limits["rounded"]:
        return question.failed("gradient-cut-off", **values, kind="rounded")
    if values["reached"] is not None and values["reached"] < limits["reached"]:
        return question.failed("gradient-cut-off", **values, kind="router")
    return question.passed(**values)


def _is_the_slope(question: Question, evidence: Evidence) -> Finding:
    """Ask whether logits change with the weights as their gradient says."""
    found = observed(evidence, "cut_off") or {}
    if found.get("slope") is None:
        return question.not_measured()
    values = {"slope": found["slope"], "at": found.get("at")}
    if abs(values["slope"] - 1) <= question.thresholds["off"]:
        return question.passed(**values)
    if found.get("only_in_training"):
        return question.failed("wrong-backward", **values, kind="again")
    if found.get("by_hand"):
        return question.failed("wrong-backward", **values)
    return question.unknown(**values)  # a tensor may be detached on purpose


def _clipped_and_used_once(question: Question, evidence: Evidence) -> Finding:
    order, limits = observed(evidence, "order"), question.thresholds
    if not order:
        return question.not_measured()
    values = {name: order[name] for name in ("steps", "again", "late", "least")}
    if values["again"] >= limits["times"]:
        return question.failed("repeated-step", **values)
    if values["late"] >= limits["times"]:
        return question.failed("clip-after-step", **values)
    return question.passed(**values)


PASSES_QUESTIONS = (
    Question(
        "3.4",
        # passes without a step; steps; share that loses a pass; steps, and passes for each, that teach little
        {"passes": 20, "steps": 5, "share": 0.8, "few": 10, "each": 50},
        ("no-optimizer-step", "lost-accumulation"),
        _every_pass_reaches_a_step,
    ),
    Question("3.5", {}, ("parameters-outside-model",), _held_by_an_optimizer),
    # of the norm after the backward pass that is left at the step; factor; least norm ÷ the factor
    Question("3.6", {"share": 0.5, "scale": 2.0, "least": 1e-3}, ("scaler-bypassed",), _through_the_scaler),
    # matrices whose gradient comes through a scale alone; gradient of a router ÷ the usual one of a matrix
    Question("3.7", {"rounded": 2, "reached": 1e-4}, ("gradient-cut-off",), _taught_by_predictions),
    # of the first eight steps
    Question("3.8", {"times": 3}, ("repeated-step", "clip-after-step"), _clipped_and_used_once),
    # of the change that the gradient says, more or less
    Question("3.9", {"off": 0.1}, ("wrong-backward",), _is_the_slope),
)
