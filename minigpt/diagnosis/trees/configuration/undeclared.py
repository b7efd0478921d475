"""A schedule that is wrong by itself, whatever was asked for: of a log, or of a loop that declares none.

    leaf, figures = wrong_by_itself(steps, rates)      # None where nothing is wrong, or only odd

What many schedules do is left alone: a ramp, a decay to 0, drops by a factor, restarts at the top, cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.diagnosis.trees.series import noise_of
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import LogNotes, Source

Rates = NDArray[np.float64]

FEWEST = 10  # rates that show a schedule
NOTHING = 1e-7  # of the largest rate: as good as 0
LITTLE = 1.5e-3  # of the largest rate, a thousandth and a little: updates are too small to learn from
POINTS, LONG = 41, 200  # of a curve, that show its shape; rates that show more than a warm-up
RAMP = 5  # steps of a climb
WHOLE = 100  # rates of a loop that came to its end, which tell how it was meant to end
STAGES, GENTLE = 12, 0.2  # stages of a rate, and how far it comes down from one to the next
FOOT = 0.3  # of its peak: from here on a cycle may restart
ODD = "odd"
SENSELESS = ("zero-after", "little-after", "grows")  # of a schedule that somebody asked for
MIRRORED, BENT = "mirrored", 0.05  # of the height of a curve: how far it is from a straight line, or a mirror
HALF_WAY = 0.5  # of the base rate
LATE = "late"  # a leap from 0: one group may be frozen at first, not all of them


def wrong_by_itself(
    steps: NDArray[np.int64],
    rates: Rates,
    limits: Mapping[str, float],
    total: int | None = None,
    base: float | None = None,
) -> tuple[str | None, dict[str, Any]]:
    """Return the leaf of a schedule that nobody would ask for, or None, and what was seen of it.

    Args:
        steps: (n,) at which the rate was logged, in order.
        rates: (n,) of one group of parameters.
        limits: `share` of the run at 0, `jump` in the largest rate, `rise` over the rest of the run.
        total: steps that the run was meant to take, where that is known.
        base: the rate that the schedule multiplies, where that is known.
    """
    finite = np.isfinite(rates)
    steps, rates = steps[finite], rates[finite]
    if len(rates) < FEWEST:
        return None, {}
    top = float(rates.max())
    seen = {"step": int(steps[0]), "rate": float(rates[0]), "top": top, "share": 0.0, "kind": "fine"}
    if rates.min() < 0:
        at = int(np.flatnonzero(rates < 0)[0])
        return "lr-negative", seen | {"step": int(steps[at]), "rate": float(rates[at]), "kind": "negative"}
    if top == 0:
        return "base-lr-zero", seen | {"share": 1.0, "kind": "zero"}
    moving = np.flatnonzero(rates > NOTHING * top)
    end = int(moving[-1]) + 1
    share = 1 - end / len(rates)
    if share >= limits["share"] and len(rates) - end >= FEWEST:
        return "schedule-step-unit", seen | {"step": int(steps[end]), "share": share, "kind": "zero-after"}
    low = int(np.flatnonzero(rates > LITTLE * top)[-1]) + 1
    share = 1 - low / len(rates)
    if share >= limits["share"] and min(low, len(rates) - low) >= FEWEST and not _by_stages(rates[:low]):
        return "schedule-step-unit", seen | {"step": int(steps[low]), "share": share, "kind": "little-after"}
    if (first := _back_from_zero(rates, top)) is not None:
        left = 1 - first / len(rates)
        return "schedule-step-unit", seen | {"step": int(steps[first]), "share": left, "kind": "past-its-end"}
    if (foot := _mirrored(steps, rates)) is not None:
        figures = {"step": int(steps[foot]), "rate": float(rates[foot]), "share": 1 - foot / len(rates)}
        return None, seen | figures | {"kind": MIRRORED}
    if (first := _climbs_by_stages(rates, base)) is not None:
        return "schedule-step-unit", seen | {"step": int(steps[first]), "kind": "by-epochs"}
    begin = int(moving[0])
    if begin >= FEWEST and rates[begin] > 0.5 * top:
        figures = {"step": int(steps[begin]), "rate": float(rates[begin]), "kind": LATE}
        return "lr-discontinuous", seen | figures
    if found := _grows_at_the_end(rates, limits["rise"]):
        begin, from_the_start = found
        finished = total is not None and steps[-1] >= 0.95 * total
        figures = seen | {"step": int(steps[begin]), "rate": float(rates[begin]), "kind": "grows"}
        if not from_the_start or finished:
            return "schedule-backwards", figures | {"share": 1 - begin / len(rates)}
        return None, figures | {"kind": ODD}
    at = _warms_up_again(rates, top)
    if at is not None:
        return "lr-discontinuous", seen | {"step": int(steps[at]), "rate": float(rates[at]), "kind": "again"}
    at = _jumps_up(rates, limits["jump"])
    if at is not None:
        return "lr-discontinuous", seen | {"step": int(steps[at]), "rate": float(rates[at]), "kind": "jump"}
    if rates[0] == 0 < rates[1]:
        return None, seen | {"kind": ODD}
    return None, seen


def _grows_at_the_end(rates: Rates, rise: float) -> tuple[int, bool] | None:
    """Return where a growth begins that lasts to the end, and whether it is the ramp of a start."""
    at = np.linspace(0, len(rates) - 1, min(len(rates), POINTS)).astype(np.int64)
    marks = rates[at]
    stops = np.flatnonzero(np.diff(marks) <= 0)
    begin = int(stops[-1]) + 1 if len(stops) else 0
    if len(marks) - 1 - begin < max(3, 0.1 * len(marks)):
        return None
    if marks[-1] < rates.max() or marks[-1] < (1 + rise) * max(marks[begin], NOTHING * rates.max()):
        return None
    if begin and marks[: begin + 1].max() >= 0.99 * marks[-1]:
        return None  # a cycle, on its way up again
    line = np.linspace(marks[begin], marks[-1], len(marks) - begin)
    straight = np.abs(marks[begin:] - line).max() < 0.05 * marks[-1]
    return int(at[begin]), begin <= 1 and bool(straight or len(rates) < LONG)


def _back_from_zero(rates: Rates, top: float) -> int | None:
    """Return where a curve first comes down to 0 that then climbs again as gently, twice or more.

    A cosine that is stepped past its end does so; a restart leaps, and cycles that are meant keep off 0.
    """
    inner = np.arange(1, len(rates) - 1)
    low = inner[(rates[1:-1] <= NOTHING * top) & (rates[:-2] > 0) & (rates[2:] > 0)]
    gentle = low[(rates[low + 1] < 0.5 * top) & (rates[low - 1] < 0.5 * top)]
    return int(gentle[0]) if len(gentle) > 1 and len(gentle) == len(low) else None


def _by_stages(rates: Rates) -> bool:
    """Return whether a rate comes down in a few stages that last, gently, as where validation decides it."""
    ends = np.flatnonzero(np.diff(rates)) + 1
    stages = np.diff(ends, prepend=0, append=len(rates))
    gentle = (rates[ends] < rates[ends - 1]) & (rates[ends] >= GENTLE * rates[ends - 1])
    return 1 < len(stages) <= STAGES and bool(gentle.all()) and stages.min() >= FEWEST


def _climbs_by_stages(rates: Rates, base: float | None) -> int | None:
    """Return where a rate first moves that grows in stages of one length: a warm-up stepped once an epoch."""
    ends = np.flatnonzero(np.diff(rates)) + 1
    stages = np.diff(ends, prepend=0)  # without the last, which may not have ended
    # from 0; or from the first of steps that are all as high, and there are more to come
    alike = len(ends) > 1 and np.allclose(np.diff(rates[ends], prepend=rates[0]), rates[0], rtol=1e-3)
    low = base is not None and rates[-1] < HALF_WAY * base
    grows = len(ends) > 1 and (rates[0] == 0 or alike and low) and (rates[ends] > rates[ends - 1]).all()
    return int(ends[0]) if grows and stages.min() >= FEWEST and stages.max() - stages.min() <= 1 else None


def _mirrored(steps: NDArray[np.int64], rates: Rates) -> int | None:
    """Return where a curve that came down like a cosine turns, to climb back by the same way.

    That is a cosine stepped past its end. Cycles that are meant go up and down in straight lines, or restart.
    """
    top = int(rates.argmax())
    foot = top + int(rates[top:].argmin())
    low, height = float(rates[foot]), float(rates[top] - rates[foot])
    line = np.interp(steps[top : foot + 1], steps[[top, foot]], rates[[top, foot]])
    if foot - top < FEWEST or np.abs(rates[top : foot + 1] - line).max() < BENT * height:
        return None
    after = steps[foot:] - steps[foot]
    after = after[after <= steps[foot] - steps[top]]
    if len(after) < FEWEST or rates[foot : foot + len(after)].max() < low + 0.5 * height:
        return None
    before = np.interp(steps[foot] - after, steps, rates)
    return foot if np.abs(rates[foot : foot + len(after)] - before).max() < BENT * height else None


def _has_climbed(evidence: Evidence, foot: int) -> bool:
    """Return whether the loss is higher after a step than at it, by more than noise."""
    steps, losses = evidence.metrics.column("loss")
    finite = np.isfinite(losses)
    steps, losses = steps[finite], losses[finite]
    width = max(FEWEST // 2, len(losses) // 20)
    then, later = losses[(steps <= foot)][-width:], losses[steps > foot]
    if len(then) < FEWEST // 2 or len(later) < 2 * width:
        return False
    means = np.convolve(later, np.full(width, 1 / width), "valid")
    return bool(means.max() - then.mean() > 4 * noise_of(losses) / width**0.5)


def _warms_up_again(rates: Rates, top: float) -> int | None:
    """Return where a warm-up begins again: the rate falls from its top to the foot, and climbs as before.

    Cycles come down as gently as they go up, and restarts leap up; only a ramp that is counted from the start
    of each epoch falls at once from where it stood still. Once may be a second stage of training.
    """
    high, low = 0.9 * top, 0.1 * top
    falls = np.flatnonzero((rates[:-1] >= high) & (rates[1:] <= low)) + 1
    climbs = [
        at for at in falls.tolist() if len(rates) > at + RAMP and (np.diff(rates[at:])[:RAMP] > 0).all()
    ]
    return climbs[0] if len(climbs) > 1 else None


def _jumps_up(rates: Rates, jump: float) -> int | None:
    """Return where the rate leaps up in the midst of a curve, and not from the foot of a cycle."""
    top, moves = rates.max(), np.diff(rates)
    leaps = np.flatnonzero(moves > jump * top)
    if len(np.unique(rates)) <= 3 and len(leaps) > 0.2 * len(rates):
        return int(leaps[1]) + 1  # back and forth between two values
    leaps = leaps[leaps >= int(np.argmax(rates >= 0.99 * top))]  # what comes before is the ramp
    if not len(leaps) or np.median(np.abs(moves)) > 0.01 * top:
        return None
    before = 0
    for at in leaps.tolist():
        if rates[at] > FOOT * rates[before : at + 1].max():
            return at + 1
        before = at + 1
    return None


def _plausible(question: Question, evidence: Evidence) -> Finding:
    config = evidence.config
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    if not groups or isinstance(config, Config):
        return question.not_measured()
    declared = config is not None and config.schedule is not None  # a trainer declares what it was told
    total = evidence.audit(LogNotes).total
    ended, found = observed(evidence, "ended"), {}
    for group in groups:
        steps, rates = evidence.metrics.column(group)
        if ended and len(rates) >= WHOLE:
            total = int(steps[-1])
        base = (observed(evidence, "base_rates") or {}).get(group.removeprefix("lr."))
        leaf, seen = wrong_by_itself(steps, rates, question.thresholds, total, base)
        if seen.get("kind") == MIRRORED and _has_climbed(evidence, seen["step"]):
            leaf = "schedule-step-unit"
        if seen:
            found[group.removeprefix("lr.")] = leaf, seen
    if not found:
        return question.not_measured()
    if declared:  # what else is odd about it is question 2.1's
        found = {group: entry for group, entry in found.items() if entry[1]["kind"] in SENSELESS}
        if not found:
            return question.not_measured()
    late = [group for group, (_, seen) in found.items() if seen["kind"] == LATE]
    if len(late) < len(found):
        found |= {group: (None, found[group][1]) for group in late}
    frozen = config is None or evidence.source is Source.LOG or config.frozen()
    still = [group for group, (leaf, _) in found.items() if leaf == "base-lr-zero"]
    if 0 < len(still) < len(found) and not frozen and ended and total is not None:
        return question.failed("base-lr-zero", group=still[0], **found[still[0]][1])
    if any(leaf != "base-lr-zero" for leaf, _ in found.values()):  # a group may be frozen, not all of them
        found = {group: entry for group, entry in found.items() if entry[0] != "base-lr-zero"}
    wrong = {group: entry for group, entry in found.items() if entry[0]}
    group, (leaf, seen) = next(iter((wrong or found).items()))
    odd = any(entry["kind"] in (ODD, MIRRORED) for _, entry in found.values())
    values = {"group": group, **seen}
    if leaf == "base-lr-zero" and _never_steps(evidence):
        return question.warned(**values)  # the rate is written only once a step is taken
    if leaf:
        return question.failed(leaf, **values)
    return question.warned(**values) if odd else question.passed(**values)


def _never_steps(evidence: Evidence) -> bool:
    norms = evidence.metrics.column("grad_norm")[1]
    return len(norms) > 0 and not np.isfinite(norms).any()


UNDECLARED_QUESTIONS = (
    Question(
        "2.4",
        {"share": 0.3, "jump": 0.1, "rise": 0.2},  # of the run; of the largest rate; of the rate before
        ("base-lr-zero", "lr-negative", "schedule-step-unit", "schedule-backwards", "lr-discontinuous"),
        _plausible,
    ),
)
