"""Section 3: are the gradients sane? Their size over the run, and whether each step starts from none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.diagnosis.trees.series import most_in_a_window, usual_after, usual_before
from minigpt.runs.evidence import Evidence
from minigpt.runs.thresholds import GRADIENT_HIGH, GRADIENT_LOW, SPIKE_NATS, SPIKE_NORM, SPIKES_WITHIN
from minigpt.runs.thresholds import GRADIENT_STEPS as WINDOW
from minigpt.runs.thresholds import SPIKE_RECENT as RECENT

BEFORE, AFTER = 128, 32  # steps whose median is what is usual
MOSTLY = 0.75  # share of calm steps above which the others are spikes, and no level


def _rolling_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return (sums[window:] - sums[:-window]) / window


def _usual_size(question: Question, evidence: Evidence) -> Finding:
    limits, norms = question.thresholds, evidence.metrics.column("grad_norm")[1]
    norms = norms[np.isfinite(norms)]  # the others are question 1.0's
    calm = norms[norms <= SPIKE_NORM]  # a few steps far above the others are question 3.2's
    steady = calm if len(calm) >= MOSTLY * len(norms) else norms
    if len(steady) < WINDOW:
        return question.not_measured()
    rolling = _rolling_mean(steady, WINDOW)
    clip_norm = evidence.config.clip_norm if evidence.config else None
    clipped = float((norms > clip_norm).mean()) if clip_norm else 0.0
    usual = float(np.median(rolling))
    values = {"usual": usual, "last": float(rolling[-1]), "clipped": clipped}
    if usual > limits["high"]:
        cause = _why_large(evidence)
        if cause == "always-clipping" and evidence.start.other_loss:
            return question.warned(**values)  # such a loss has a size of its own
        if cause == "always-clipping" and usual > SPIKE_NORM:
            return question.unknown(**values, kind="huge")  # no matter of clipping
        if cause == "always-clipping" and not clip_norm:
            return question.warned(**values)  # large, and nobody cut it
        return question.failed(cause, **values)
    if clipped > limits["clipped"]:
        # A norm just above the limit loses little; one far above it makes every step the same length.
        far, cause = usual > limits["far"] * clip_norm, _why_large(evidence)
        meant = cause == "always-clipping" and evidence.start.other_loss
        return question.failed(cause, **values) if far and not meant else question.warned(**values)
    if usual >= limits["low"]:
        return question.passed(**values)
    if evidence.start.unmasked_share == 0:
        return question.failed("loss-mask-empty", **values)
    if _cut_off(evidence):
        return question.failed("frozen-parameters", **values)
    losses = evidence.metrics.column("loss")[1][-WINDOW:]
    if values["last"] < limits["gone"] and len(losses) and np.median(losses) > limits["loss"]:
        return question.unknown(**values, kind="vanished")
    return question.warned(**values)  # the end of a run that has learnt all there is looks like this too


def _why_large(evidence: Evidence) -> str:
    """Return what is known to add gradients up, or else that clipping alone holds them."""
    if evidence.rehearsal.carried_gradient:
        return "missing-zero-grad"
    adds_up = (evidence.rehearsal.accumulation_ratio or {}).get("equal")
    adds_up = adds_up and adds_up > 1.5 and not observed(evidence, "adversary")
    return "accumulation-sum" if adds_up else "always-clipping"


def _frozen_by_accident(evidence: Evidence) -> list[str]:
    declared = tuple(evidence.config.frozen()) if evidence.config else ()
    return [name for name in evidence.rehearsal.frozen or [] if not name.startswith(declared or "\0")]


def _cut_off(evidence: Evidence) -> list[str]:
    """Return what gets no gradient and is called all the same."""
    idle = set(evidence.rehearsal.idle or ())
    return [name for name in _frozen_by_accident(evidence) if name not in idle]


def _all_learn(question: Question, evidence: Evidence) -> Finding:
    if evidence.rehearsal.frozen is None:
        return question.not_measured()
    frozen, cut = _frozen_by_accident(evidence), _cut_off(evidence)
    named = cut or frozen
    values = {"count": len(named), "name": named[0] if named else "–"}
    if cut:
        return question.failed("frozen-parameters", **values)
    # parts that are never called, as an encoder where only the decoder is used
    return question.warned(**values) if frozen else question.passed(**values)


def _usual_loss(evidence: Evidence, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the loss that was usual before each step; where none was logged, an infinite one."""
    at, losses = evidence.metrics.column("loss")
    if not len(losses):
        return np.full(len(steps), np.inf)
    return usual_before(losses, RECENT)[np.searchsorted(at, steps).clip(max=len(at) - 1)]


def _spikes(question: Question, evidence: Evidence) -> Finding:
    limits, (steps, norms) = question.thresholds, evidence.metrics.column("grad_norm")
    finite = np.isfinite(norms)
    steps, norms = steps[finite], norms[finite]
    if not len(norms):
        return question.not_measured()
    usual = usual_before(norms, BEFORE)
    above = (norms > limits["spike"]) & (norms > limits["above"] * usual)
    # a level that stays is no spike: so it is where a model begins to learn
    stays = np.maximum(usual, usual_after(norms, AFTER))
    leaps = (norms > limits["least"]) & (norms > limits["times"] * stays)
    above |= leaps & (_usual_loss(evidence, steps) > limits["nats"])
    most = most_in_a_window(steps, above, SPIKES_WITHIN)
    first = int(above.argmax()) if most else int(norms.argmax())
    values = {"count": most, "step": int(steps[first]) if most else "–"}
    values |= {"norm": float(norms[first]), "usual": float(usual[first])}
    if most > limits["count"]:
        return question.failed("gradient-spikes", **values)
    return question.warned(**values) if most else question.passed(**values)


def _cleared(question: Question, evidence: Evidence) -> Finding:
    carried = evidence.rehearsal.carried_gradient
    if carried is None:
        return question.not_measured()
    if carried > question.thresholds["carried"]:
        return question.failed("missing-zero-grad", carried=carried)
    return question.passed(carried=carried)


GRADIENT_QUESTIONS = (
    Question(
        "3.1",
        # norms; share of steps; × clip_norm; norm that is as good as 0, at a loss in nats that is not
        {"low": GRADIENT_LOW, "high": GRADIENT_HIGH, "clipped": 0.9, "far": 6.0, "gone": 1e-4, "loss": 0.5},
        ("always-clipping", "missing-zero-grad", "accumulation-sum", "frozen-parameters", "loss-mask-empty"),
        _usual_size,
        symptom=True,
    ),
    Question("3.1b", {}, ("frozen-parameters",), _all_learn),
    Question(
        "3.2",
        # norms; × what is usual; × what is usual, and at least this norm, where the loss is above so many
        # nats; in any 200 steps
        {"spike": SPIKE_NORM, "above": 3.0, "times": 10.0, "least": 3.0, "nats": SPIKE_NATS, "count": 3},
        ("gradient-spikes",),
        _spikes,
        symptom=True,
    ),
    Question("3.3", {"carried": 0.0}, ("missing-zero-grad",), _cleared),
)
