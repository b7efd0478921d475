"""Section 8: spikes, by what came with them: the rate, the batch, the start, or a stale second moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.leaps import fresh_start
from minigpt.diagnosis.trees.outliers import ENOUGH, held_by_a_guard, leap_with_a_spike, robust_z
from minigpt.diagnosis.trees.series import usual_after, usual_before
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Event, Source, Updates
from minigpt.runs.thresholds import (
    MAD_DEVIATIONS,
    RATE_LEAP,
    RMS_STALE,
    RMS_TIMES,
    SPIKE_LASTS,
    SPIKE_NATS,
    SPIKE_NEAR,
    SPIKE_NORM,
    SPIKE_RECENT,
    SPIKE_Z,
    START_RISE,
    START_STEPS,
)

RAMP = 0.5  # of the largest rate: a first rate above it is no ramp
SLOW_ROWS, SLOW_STEPS = 5, 200  # of a log, after which it is no batch that the run comes back from
RESTLESS = 32  # steps that show how restless a loss is
YOUNG = 100  # steps before the second moment is that of the run, and not of its start


def _rate_leaps(question: Question, evidence: Evidence) -> Finding:
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    if not groups or len(evidence.metrics.column("loss")[0]) <= ENOUGH:
        return question.not_measured()
    if held := held_by_a_guard(evidence):  # before it could do harm
        first = held[min(held)]
        figures = {"rate": first.seen.get("rate"), "before": first.seen.get("usual"), "z": None, "loss": None}
        return question.warned(group="–", step=first.step, **figures)
    leap = leap_with_a_spike(evidence)
    if leap is None:
        return question.passed(group="–", step="–", rate=None, before=None, z=None, loss=None)
    return question.failed("loss-spike-lr", **leap._asdict())


def _batch_throws_it_off(question: Question, evidence: Evidence) -> Finding:
    undone = [event for event in evidence.events if event.guard == "spikes" and event.skip is not None]
    dropped = [event for event in undone if event.batches]
    if dropped:  # before, or soon after, it did harm
        first = max(dropped, key=lambda event: _z(event) or 0.0)
        figures = {"loss": _figure(first.seen, "loss"), "z": _z(first)}
        batch = first.batches[0]
        return question.warned(
            leaf="loss-spike-batch", count=len(dropped), step=first.step, batch=batch, **figures
        )
    steps, losses = evidence.metrics.column("loss")
    finite = np.isfinite(losses)
    steps, losses = steps[finite], losses[finite]
    if len(losses) <= 2 * ENOUGH or losses.min() < 0:  # what is below 0 is no cross-entropy, as 4.1 says
        return question.not_measured()
    tasks = evidence.tasks_apart(steps)  # where another task begins the loss leaps, and means nothing by it
    limits, z = question.thresholds, np.concatenate([robust_z(losses[task]) for task in tasks])
    ups = losses - np.concatenate([usual_before(losses[task], SPIKE_RECENT) for task in tasks])
    # what was calm may be restless from here on; by neighbours, for a level that lasts a while is no noise
    moves = np.abs(np.diff(losses, append=losses[-1:])) / math.sqrt(2)
    noise = MAD_DEVIATIONS * usual_after(moves, RESTLESS)
    high = np.flatnonzero((z >= limits["z"]) & (ups >= np.maximum(limits["nats"], limits["noise"] * noise)))
    if not len(high):
        at = int(z.argmax())
        return question.passed(count=0, **_at(evidence, steps, losses, z, at))
    ends = np.searchsorted(high, high + int(limits["near"]))
    counts = ends - np.arange(len(high))
    first = int(high[counts.argmax()]) if counts.max() >= limits["lasts"] else int(high[z[high].argmax()])
    values = {"count": int(counts.max())} | _at(evidence, steps, losses, z, first)
    before, after = np.median(losses[max(0, first - SPIKE_RECENT) : first]), np.median(losses[-SPIKE_RECENT:])
    came_back = after < (before + losses[first]) / 2  # else it is the weights, and no batch
    harm = counts.max() >= limits["lasts"]
    if evidence.source is Source.LOG and came_back:
        down = first + int((losses[first:] < (before + losses[first]) / 2).argmax())
        slowly = down - first >= SLOW_ROWS and steps[down] - steps[first] >= SLOW_STEPS
        # it began again from fresh weights, which 4.1b says, or what is learnt is another text since
        came_back = not slowly and fresh_start(steps, losses) is None
    if harm and came_back and not evidence.tasks_untold:
        return question.failed("loss-spike-batch", **values)
    return question.warned(**values)


def _z(event: Event) -> float | None:
    found = event.seen.get("z")
    if not isinstance(found, Mapping):
        return None
    return max((found[name] for name in ("loss", "surplus") if name in found), default=None)


def _figure(seen: Mapping[str, Any], name: str) -> float | None:
    value = seen.get(name)
    return value.get("seen") if isinstance(value, Mapping) else value


def _at(evidence: Evidence, steps: np.ndarray, losses: np.ndarray, z: np.ndarray, at: int) -> dict:
    numbered, batches = evidence.metrics.column("data_step")
    known = batches[numbered == steps[at]]
    step = int(steps[at])
    batch = int(known[-1]) if len(known) else step
    return {"step": step, "batch": batch, "loss": float(losses[at]), "z": float(z[at])}


def _starts_gently(question: Question, evidence: Evidence) -> Finding:
    limits, chance = question.thresholds, evidence.chance
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    steps, losses = evidence.metrics.column("loss")
    early = losses[(steps > 0) & (steps <= limits["steps"])]
    if chance is None or not groups or len(early) < 2 or evidence.starts_from_checkpoint or steps[0] > 0:
        return question.not_measured()
    ramps = []
    for name in groups:
        at, rates = evidence.metrics.column(name)
        if len(rates) and at[0] == 0 and rates.max() > 0:
            ramps.append(float(rates[0] / rates.max()))
    if not ramps:
        return question.not_measured()
    norm_steps, norms = evidence.metrics.column("grad_norm")
    first_norms = norms[(norm_steps > 0) & (norm_steps <= limits["steps"])]
    # a loss that is NaN or infinite for one step only is question 1.0's
    gone = 0.0 if np.isfinite(losses[steps > limits["steps"]]).any() else np.inf
    peak, norm = float(np.nan_to_num(early, nan=gone).max()), float(first_norms.max(initial=0.0))
    values = {"first": max(ramps), "peak": peak, "chance": chance, "norm": norm}
    began = evidence.first("grad_norm") or 0.0  # before any step, so of a norm that high no rate is the cause
    harmed = losses[0] <= chance + limits["rise"] < peak or norm >= limits["norm"] > began
    if max(ramps) > RAMP and harmed:
        return question.failed("warmup-missing", **values)
    return question.passed(**values)


def _second_moment_is_fresh(question: Question, evidence: Evidence) -> Finding:
    found = [probe for probe in evidence.audits.get(Updates.kind, ()) if probe.rms is not None]
    found = [probe for probe in found if probe.step >= YOUNG]
    if not found:
        return question.not_measured()
    times = int(question.thresholds["times"])
    lowest = [min(found[at : at + times], key=lambda p: p.rms) for at in range(len(found) - times + 1)]
    worst = max(lowest or found, key=lambda probe: probe.rms)
    values = {"rms": worst.rms, "name": worst.name or "–", "step": worst.step}
    if lowest and worst.rms >= question.thresholds["rms"]:
        return question.warned(leaf="stale-second-moment", **values)
    return question.passed(**values)


SPIKE_QUESTIONS = (
    Question(
        "8.1",
        {"leap": RATE_LEAP, "z": SPIKE_Z},  # × the rate before; robust standard deviations of the loss
        ("loss-spike-lr",),
        _rate_leaps,
        tree="dynamics",
    ),
    Question(
        "8.2",
        # robust standard deviations, and at least so far up, and of the noise that follows; of so many steps,
        # within so many
        {"z": SPIKE_Z, "nats": SPIKE_NATS, "noise": 2.5, "lasts": SPIKE_LASTS, "near": SPIKE_NEAR},
        ("loss-spike-batch",),
        _batch_throws_it_off,
        symptom=True,
        tree="dynamics",
    ),
    Question(
        "8.3",
        {"steps": START_STEPS, "rise": START_RISE, "norm": SPIKE_NORM},  # nats above ln V
        ("warmup-missing",),
        _starts_gently,
        symptom=True,
        explains=True,
        tree="dynamics",
    ),
    Question(
        "8.4",
        {"rms": RMS_STALE, "times": RMS_TIMES},
        ("stale-second-moment",),
        _second_moment_is_fresh,
        tree="dynamics",
    ),
)
