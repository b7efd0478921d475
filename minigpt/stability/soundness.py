"""Section 5: is the model sound? Its weights and activations before the first update."""

from __future__ import annotations

import math

from minigpt.stability.evidence import Evidence
from minigpt.stability.tree import Finding, Question


def _weights_as_their_role_asks(question: Question, evidence: Evidence) -> Finding:
    limits, weights = question.thresholds, evidence.start.get("weights")
    if not weights or evidence.starts_from_checkpoint or evidence.config is None:
        return question.not_measured()
    ratios = {name: weight["std"] / weight["expected_std"] for name, weight in weights.items()}
    name = max(ratios, key=lambda name: abs(math.log(max(ratios[name], 1e-12))))
    values = {"name": name, "ratio": ratios[name], "mean": weights[name]["mean"]}
    if not limits["fail_low"] < ratios[name] < limits["fail_high"]:
        return question.failed("init-scale", **values)
    residual = [ratio for name, ratio in ratios.items() if name.endswith("c_proj.weight")]
    others = [ratio for name, ratio in ratios.items() if not name.endswith("c_proj.weight")]
    unscaled = math.sqrt(2 * evidence.config.n_layer)
    if residual and _all_near(residual, unscaled, limits["near"]) and _all_near(others, 1.0, limits["near"]):
        return question.failed("residual-scale", **values)
    for name, weight in weights.items():
        if abs(weight["mean"]) > limits["means"] * weight["std"] / math.sqrt(weight["size"]):
            return question.failed("weight-mean", name=name, ratio=ratios[name], mean=weight["mean"])
    if limits["low"] <= values["ratio"] <= limits["high"]:
        return question.passed(**values)
    return question.warned(**values)


def _all_near(ratios: list[float], value: float, tolerance: float) -> bool:
    return all(abs(ratio / value - 1) < tolerance for ratio in ratios)


def _activations_grow_gently(question: Question, evidence: Evidence) -> Finding:
    growth = evidence.audit("activations").get("growth")
    if not growth or evidence.starts_from_checkpoint:
        return question.not_measured()
    if evidence.config and evidence.config.norm_position == "post":
        growth = growth[1:]  # the first block lifts the embeddings to the size of a norm's output
    most = max(growth, default=1.0)
    values = {"growth": most, "layer": growth.index(most) if growth else 0}
    if most > question.thresholds["fail"]:
        return question.failed("missing-norm", **values)
    return question.passed(**values) if most <= question.thresholds["high"] else question.warned(**values)


SOUNDNESS_QUESTIONS = (
    Question(
        "5.1",
        # ratios to the std asked for; how near a ratio counts as equal; standard errors of the mean
        {"fail_low": 0.1, "low": 0.5, "high": 2.0, "fail_high": 10.0, "near": 0.15, "means": 5.0},
        ("init-scale", "residual-scale", "weight-mean"),
        _weights_as_their_role_asks,
    ),
    Question("5.2", {"high": 1.5, "fail": 10.0}, ("missing-norm",), _activations_grow_gently),  # per layer
)
