"""Are all numbers finite? The first that is none, the last good one before it, and what their order tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.diagnosis.tree import Finding, Question
from minigpt.runs.evidence import Evidence

FEW = 3  # rows that are no accident
ZEROS = 10  # losses of exactly 0 that are no rounding,
SMALL = 1e-6  # where the gradient is next to nothing as well
NAMES = ("loss", "grad_norm")


def _all_finite(question: Question, evidence: Evidence) -> Finding:
    limits = question.thresholds
    (steps, losses), (norm_steps, norms) = (evidence.metrics.column(name) for name in NAMES)
    if not len(losses) and not len(norms):
        return question.not_measured()
    zero = _tail(losses == 0.0)
    if zero is not None and len(losses) - zero >= FEW and _none_from(norm_steps, norms, steps[zero]):
        return question.failed("fp16-overflow", **_seen("loss", steps, losses, zero))
    lasts = zero is not None and len(losses) - zero >= ZEROS  # and nobody learns all there is
    if lasts and not (norms[norm_steps >= steps[zero]] > SMALL).any():
        return question.unknown(**_seen("loss", steps, losses, zero), kind="zero")
    wrong = ~np.isfinite(losses)
    if wrong.any() and _nothing_to_learn(steps[wrong], norm_steps, norms):
        return question.failed("loss-mask-empty", **_seen("loss", steps, losses, int(wrong.argmax())))
    gone = _tail(wrong)
    if gone is not None:
        values = _seen("loss", steps, losses, gone)
        rise = _rise(losses[:gone])
        if gone == 0:
            return question.failed("nan-loss", **values)
        return question.failed("diverging" if rise > limits["rise"] else "nan-loss", **values)
    broken = ~np.isfinite(norms)
    if len(norms) >= FEW and broken.mean() >= limits["share"]:
        values = _seen("grad_norm", norm_steps, norms, int(broken.argmax()))
        if _stands_still(losses, limits["fall"]):
            return question.failed("nan-gradient", **values)
        return question.unknown(**values)
    rest = _tail(broken)  # from some step on no norm is a number: no step is taken, or nothing is left
    own = isinstance(evidence.config, Config)  # of our trainer the dynamics tree knows more
    if rest is not None and rest and len(norms) - rest >= limits["skips"] and not own:
        since, before = losses[steps >= norm_steps[rest]], losses[steps < norm_steps[rest]]
        values = _seen("grad_norm", norm_steps, norms, rest)
        if not len(since):
            last = {"last": int(steps[-1]), "good": float(losses[-1])} if len(losses) else {}
            # a trainer leaves a loss out that is none
            return question.failed("nan-loss", **values | {"name": "loss"} | last)
        if len(before) >= FEW and _stands_still(losses[-2 * len(since) :], limits["fall"]):
            return question.failed("nan-gradient", **values)
        return question.unknown(**values)
    for name, at, logged in (("loss", steps, losses), ("grad_norm", norm_steps, norms)):
        wrong = np.flatnonzero(~np.isfinite(logged))
        if len(wrong):
            values = _seen(name, at, logged, int(wrong[0]))
            # a scaler that looks for its scale skips a few steps at the start
            looks = name == "grad_norm" and len(wrong) <= limits["skips"] and at[wrong[-1]] < limits["start"]
            known = name == "grad_norm" and isinstance(evidence.config, Config)
            return question.warned(**values) if looks or known else question.unknown(**values)
    return question.passed(name="–", step=None, last=None, good=None, value=None, count=0)


def _tail(bad: NDArray[np.bool_]) -> int | None:
    """Return where a stretch begins that lasts to the end, or None."""
    if not len(bad) or not bad[-1]:
        return None
    good = np.flatnonzero(~bad)
    return int(good[-1]) + 1 if len(good) else 0


def _none_from(steps: NDArray[np.int64], norms: NDArray[np.float64], step: int) -> bool:
    """Return whether no gradient norm from a step on is a number, or all of them are 0."""
    rest = norms[steps >= step]
    return len(rest) > 0 and not np.isfinite(rest).any()


def _nothing_to_learn(at: NDArray[np.int64], steps: NDArray[np.int64], norms: NDArray[np.float64]) -> bool:
    """Whether every gradient of these steps is exactly 0: the mean over no target is NaN."""
    there = norms[np.isin(steps, at)]
    return len(there) > 0 and not there.any()


def _rise(losses: NDArray[np.float64]) -> float:
    """Return by how much the last finite losses lie above the lowest level before, in nats."""
    losses = losses[np.isfinite(losses)]
    if len(losses) < 4:
        return 0.0
    width = max(1, min(FEW, len(losses) // 4))
    return float(np.median(losses[-width:]) - np.median(np.sort(losses)[: max(1, len(losses) // 4)]))


def _stands_still(losses: NDArray[np.float64], fall: float) -> bool:
    losses = losses[np.isfinite(losses)]
    part = max(1, len(losses) // 4)
    return len(losses) < FEW or losses[-part:].mean() > (1 - fall) * losses[:part].mean()


def _seen(name: str, steps: NDArray[np.int64], logged: NDArray[np.float64], at: int) -> dict[str, Any]:
    good = np.flatnonzero(np.isfinite(logged[:at]))
    last = int(good[-1]) if len(good) else None
    return {
        "name": name,
        "step": int(steps[at]),
        "value": float(logged[at]) if not math.isinf(logged[at]) else str(float(logged[at])),
        "last": None if last is None else int(steps[last]),
        "good": None if last is None else float(logged[last]),
        "count": int((~np.isfinite(logged)).sum()),
    }


NON_FINITE_QUESTIONS = (
    Question(
        "1.0",
        # nats, before the first that is none; share of the norms; of the loss; norms in a row, by this step
        {"rise": 1.0, "share": 0.5, "fall": 0.02, "skips": 5, "start": 100},
        ("fp16-overflow", "nan-loss", "diverging", "nan-gradient", "loss-mask-empty"),
        _all_finite,
        symptom=True,
    ),
)
