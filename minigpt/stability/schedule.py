"""Section 2: is the schedule applying? The learning rate of every group against the schedule asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.schedule import lr_at
from minigpt.stability.asked import Asked
from minigpt.stability.evidence import Evidence
from minigpt.stability.tree import Finding, Question

Rates = NDArray[np.float64]

LOOKED_AT = 1000  # steps of a long run that are compared, evenly spread, besides the first ones
FIRST = 200
UNITS = range(2, 17)  # micro-batches that a schedule may have been counted in
ORDER = (  # which group's fault is named when groups differ: the one that explains most
    "base-lr-zero",
    "scheduler-never-stepped",
    "schedule-step-unit",
    "lr-discontinuous",
    "lr-group-scale",
    None,  # not like the schedule, and no leaf explains how
)


def _curve_as_asked(question: Question, evidence: Evidence) -> Finding:
    config = evidence.config
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    if config is None or config.schedule is None or not groups:
        return question.not_measured()
    curves = [GroupCurve.of(group, evidence, config, question.thresholds["tolerance"]) for group in groups]
    wrong = [curve for curve in curves if not curve.as_asked]
    if not wrong:
        return question.passed(**curves[0].seen)
    # One group as asked proves the schedule right: what is wrong with the others is their own.
    faults = {
        curve.explain(schedule_is_right=len(wrong) < len(curves)): curve.seen for curve in reversed(wrong)
    }
    leaf = next(leaf for leaf in ORDER if leaf in faults)
    return question.failed(leaf, **faults[leaf]) if leaf else question.unknown(**faults[leaf])


def _looked_at(count: int) -> NDArray[np.int64]:
    spread = np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64)
    return np.unique(np.concatenate([np.arange(min(count, FIRST)), spread]))


def _asked(steps: NDArray[np.int64], config: Config | Asked) -> Rates:
    if isinstance(config, Asked):
        return config.rates(steps)
    return np.array([lr_at(int(step), config) for step in steps])


def _declared_multiplier(group: str, config: Config | Asked) -> float:
    """Return the multiplier of a group as `build_optimizer` names it: "lr.decay:wte"."""
    return config.multipliers().get(group.partition(":")[2], 1.0)


@dataclass(frozen=True)
class GroupCurve:
    """The learning rate of one group, and what was asked for."""

    group: str
    steps: NDArray[np.int64]
    values: Rates
    asked: Rates
    config: Config | Asked
    tolerance: float

    @classmethod
    def of(cls, column: str, evidence: Evidence, config: Config | Asked, tolerance: float) -> GroupCurve:
        steps, values = evidence.metrics.column(column)
        at = _looked_at(len(steps))
        asked = _asked(steps[at], config) * _declared_multiplier(column, config)
        return cls(column.removeprefix("lr."), steps[at], values[at], asked, config, tolerance)

    @property
    def seen(self) -> dict[str, object]:
        """The step at which realised and asked lie furthest apart."""
        worst = int(np.abs(self.values - self.asked).argmax())
        return {
            "group": self.group,
            "step": int(self.steps[worst]),
            "realised": float(self.values[worst]),
            "asked": float(self.asked[worst]),
        }

    @property
    def as_asked(self) -> bool:
        """Whether it is the schedule asked for; a warm-up that starts at 0 is question 2.2's."""
        return _equal(self.values, self.asked, self.tolerance) or _one_step_late(self)

    def explain(self, schedule_is_right: bool) -> str | None:
        """Return the leaf that turns the schedule asked for into this curve, or None."""
        values, asked = self.values, self.asked
        if not np.isfinite(values).all():
            return None
        if not values.any():
            return "base-lr-zero"
        if np.ptp(values) == 0 and np.ptp(asked) > 0:
            return "scheduler-never-stepped"
        if not schedule_is_right:
            stretched = _stretched(self.steps, self.config)
            if any(_proportional(values, curve, self.tolerance) for curve in stretched):
                return "schedule-step-unit"
        if _proportional(values, asked, self.tolerance):
            return "lr-group-scale"
        neighbours = np.diff(self.steps) == 1
        jump = np.abs(np.diff(values))[neighbours].max(initial=0.0)
        smooth = np.abs(np.diff(asked))[neighbours].max(initial=0.0)
        return "lr-discontinuous" if jump > max(0.05 * self.config.lr_max, 3 * smooth) else None


def _stretched(steps: NDArray[np.int64], config: Config | Asked) -> Iterator[Rates]:
    """Yield the schedule on other axes: counted in micro-batches, or stepped at every one of them.

    With accumulation the unit is known. Without, any unit may fit, but only where the run is long enough to
    tell a stretched warm-up from a scaled one.
    """
    past_warmup = len(steps) and steps[-1] >= config.warmup_steps
    units = [config.accumulation] if config.accumulation > 1 else UNITS if past_warmup else []
    for unit in units:
        if isinstance(config, Asked):
            yield from config.stretched(steps, unit)
            continue
        longer = config.replace(steps=config.steps * unit, warmup_steps=config.warmup_steps * unit)
        yield _asked(steps, longer)
        for offset in (0, unit - 1):
            yield _asked(steps * unit + offset, config)


def _one_step_late(curve: GroupCurve) -> bool:
    steps, values, config = curve.steps, curve.values, curve.config
    late = _asked(np.maximum(steps - 1, 0), config) * _declared_multiplier(curve.group, config)
    late[steps == 0] = 0.0
    warming_up = steps < config.warmup_steps
    return bool(
        warming_up.any()
        and _equal(values[warming_up], late[warming_up], curve.tolerance)
        and np.allclose(values[~warming_up], curve.asked[~warming_up], rtol=0.1)
    )


def _equal(values: Rates, asked: Rates, tolerance: float) -> bool:
    return bool(np.allclose(values, asked, rtol=tolerance, atol=0.0))


def _proportional(values: Rates, asked: Rates, tolerance: float) -> bool:
    positive = asked > 0
    if not positive.any() or values[~positive].any():
        return False
    ratio = values[positive] / asked[positive]
    return ratio.min() > 0 and ratio.max() <= ratio.min() * (1 + tolerance)


def _end_of_warm_up(question: Question, evidence: Evidence) -> Finding:
    config, limits = evidence.config, question.thresholds
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    if config is None or not groups or config.warmup_steps == 0:
        return question.not_measured()
    end = config.warmup_steps - 1
    for group in groups:
        steps, values = evidence.metrics.column(group)
        top = config.lr_max * _declared_multiplier(group, config)
        first, last = values[steps == 0], values[steps == end]
        if not len(first) or not len(last) or top == 0:
            return question.not_measured()
        seen = {
            "group": group.removeprefix("lr."),
            "end": end,
            "first": float(first[0]),
            "share": float(last[0] / top),
        }
        if seen["share"] < limits["share"] or seen["first"] <= 0:
            return question.failed("warmup-off-by-one", **seen)
    return question.passed(**seen)


SCHEDULE_QUESTIONS = (
    Question(
        "2.1",
        {"tolerance": 1e-3},  # relative
        (
            "base-lr-zero",
            "scheduler-never-stepped",
            "schedule-step-unit",
            "lr-discontinuous",
            "lr-group-scale",
        ),
        _curve_as_asked,
    ),
    Question("2.2", {"share": 0.95}, ("warmup-off-by-one",), _end_of_warm_up),  # of lr_max
)
