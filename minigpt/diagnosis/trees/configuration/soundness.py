"""Section 5: is the model sound? Its weights and activations before the first update."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Activations


def _weights_as_their_role_asks(question: Question, evidence: Evidence) -> Finding:
    limits, weights = question.thresholds, evidence.start.weights
    if not weights or evidence.starts_from_checkpoint or evidence.config is None:
        return question.not_measured()
    ratios = {name: weight["std"] / weight["expected_std"] for name, weight in weights.items()}
    name = max(ratios, key=lambda name: abs(math.log(max(ratios[name], 1e-12))))
    values = {"name": name, "ratio": ratios[name], "mean": weights[name]["mean"]}
    # the residual projections are those whose role asks for less than the others get
    usual_std = max(weight["expected_std"] for weight in weights.values())
    residual = {name for name, weight in weights.items() if weight["expected_std"] < usual_std}
    unscaled = math.sqrt(2 * evidence.config.n_layer)

    def near(value: float, names: Collection[str]) -> bool:
        # a few numbers, as those of a gate, miss the standard deviation that they are drawn with
        errors = {name: limits["errors"] / math.sqrt(2 * weights[name]["size"]) for name in names}
        return all(abs(ratios[name] / value - 1) < max(limits["near"], errors[name]) for name in names)

    if residual and near(unscaled, residual) and near(1.0, ratios.keys() - residual):
        return question.failed("residual-scale", **values)
    usual = float(np.median(list(ratios.values())))
    off = not limits["low"] <= usual <= limits["high"]
    # Another rule gives other ratios by shape; one factor on everything is a scale.
    if not limits["fail_low"] < ratios[name] < limits["fail_high"] or (off and near(usual, ratios)):
        return question.failed("init-scale", **values)
    for name, weight in weights.items():
        if abs(weight["mean"]) > limits["means"] * weight["std"] / math.sqrt(weight["size"]):
            return question.failed("weight-mean", name=name, ratio=ratios[name], mean=weight["mean"])
    if limits["low"] <= values["ratio"] <= limits["high"]:
        return question.passed(**values)
    return question.warned(**values)


def _norms_in_their_places(question: Question, evidence: Evidence) -> Finding:
    """Ask whether every part reads a stream that was normalised.

    The growth of activations cannot tell: without norms a block of a fresh model reads next to nothing, adds
    next to nothing, and the stream does not grow at all; with every norm in place, a wide first block lifts
    the small embeddings several times. So the model itself is asked. The probe makes the stream a thousand
    and then ten thousand large, and looks at what each part reads. Behind a norm nothing changes, an exponent
    of 0; without one the exponent is 1 or more. There is nothing in between, whatever weights, shape and
    width, so half way is a limit that no healthy model comes near. Where the probe was not taken, growth
    above the seed's factor of ten still counts as a missing norm.
    """
    limits, exponents = question.thresholds, evidence.start.stream_exponents
    growth = evidence.audit(Activations).growth or []
    if evidence.starts_from_checkpoint:
        growth = []
    elif evidence.config and evidence.config.norm_position == "post":
        growth = growth[1:]  # the first block lifts the embeddings to the size of a norm's output
    if not exponents and not growth:
        return question.not_measured()
    most = max(growth, default=1.0)
    follows = [place for place in exponents or {} if exponents[place] > limits["exponent"]]
    place = next(iter(follows or exponents or {}), "–")
    values = {"exponent": (exponents or {}).get(place, math.nan), "place": place, "growth": most}
    if follows or not exponents and most > limits["fail"]:
        return question.failed("missing-norm", **values)
    return question.passed(**values) if most <= limits["high"] else question.warned(**values)


SOUNDNESS_QUESTIONS = (
    Question(
        "5.1",
        # ratios to the std asked for; how near a ratio counts as equal, or how many of its standard errors;
        # standard errors of the mean
        {
            "fail_low": 0.1,
            "low": 0.5,
            "high": 2.0,
            "fail_high": 10.0,
            "near": 0.15,
            "errors": 4.0,
            "means": 5.0,
        },
        ("init-scale", "residual-scale", "weight-mean"),
        _weights_as_their_role_asks,
    ),
    # of what is read, in the size of the stream; growth of the stream per block
    Question("5.2", {"exponent": 0.5, "high": 1.5, "fail": 10.0}, ("missing-norm",), _norms_in_their_places),
)
