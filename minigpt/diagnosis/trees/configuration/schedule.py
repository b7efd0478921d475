"""Section 2: is the schedule applying? The learning rate of every group against the schedule asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.outliers import held_by_a_guard, leap_with_a_spike, scaled_by_guards
from minigpt.runs.evidence import Evidence
from minigpt.runs.external import Asked
from minigpt.runs.thresholds import WARMUP_REACHED
from minigpt.training.schedule import lr_at

Rates = NDArray[np.float64]

LOOKED_AT = 1000  # steps of a long run that are compared, evenly spread, besides the first ones
FIRST = 200
LEAST = 10  # steps without a learning rate that are no slow beginning
SAME = 1e-3  # rates that differ by less, relatively, are the same
CLIMB = 5  # first steps in which the rate only grows
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
    if config is None or not groups:
        return question.not_measured()
    if config.schedule is None:
        return _anything_at_all(question, evidence)
    curves = [GroupCurve.of(group, evidence, config, question.thresholds["tolerance"]) for group in groups]
    wrong = [curve for curve in curves if not curve.as_asked]
    if not wrong:
        return question.passed(**curves[0].seen)
    faults = {}
    for curve in reversed(wrong):
        # One group as asked proves the schedule right: what is wrong with the others is their own.
        leaf, figures = curve.explain(schedule_is_right=len(wrong) < len(curves))
        faults[leaf] = curve.seen | figures
    leaf = next(leaf for leaf in ORDER if leaf in faults)
    counted = evidence.rehearsal.steps_counted
    starts_again = leaf == "lr-discontinuous" and counted is not None and counted < 1
    if leaf == "lr-discontinuous" and leap_with_a_spike(evidence):
        return question.warned(**faults[leaf])  # a burst that threw the loss off is question 8.1's
    if leaf is None or starts_again:  # together with an optimizer that was built again, question 6.2's
        return question.unknown(**faults[leaf])
    return question.failed(leaf, **faults[leaf])


def _anything_at_all(question: Question, evidence: Evidence) -> Finding:
    """Ask of a loop that declares no schedule whether any group ever had a learning rate above 0."""
    groups = [name for name in evidence.metrics.names() if name.startswith(("lr.", "other_lr."))]
    if len(evidence.metrics) < LEAST or any(evidence.metrics.column(name)[1].any() for name in groups):
        return question.not_measured()
    values = {"group": groups[0].partition(".")[2], "step": 0, "realised": 0.0, "asked": None}
    return question.failed("base-lr-zero", **values)


def _groups_keep_together(question: Question, evidence: Evidence) -> Finding:
    """Ask whether the groups differ by what was declared, whatever their common schedule does.

    So a group that is slower than the others shows even where the schedule itself is wrong, too.
    """
    config = evidence.config
    groups = [name for name in evidence.metrics.names() if name.startswith("lr.")]
    if config is None or config.schedule is None or len(groups) < 2:
        return question.not_measured()
    rates = {}
    for group in groups:
        steps, values = evidence.metrics.column(group)
        multiplier = _declared_multiplier(group, config)
        if multiplier > 0:
            rates[group] = values[_looked_at(len(steps))] / multiplier
    (first, top), *others = sorted(rates.items(), key=lambda item: -item[1].max(initial=0.0))
    if not others:
        return question.not_measured()
    for group, values in others:
        together = values.shape == top.shape and top.any()
        if not together:
            return question.not_measured()
        ratio = float(values.sum() / top.sum())
        if abs(ratio - 1) > question.thresholds["tolerance"] and _proportional(
            values, top, question.thresholds["tolerance"]
        ):
            names = {"group": group.removeprefix("lr."), "other": first.removeprefix("lr.")}
            return question.failed("lr-group-scale", **names, ratio=ratio)
    return question.passed(group=group.removeprefix("lr."), other=first.removeprefix("lr."), ratio=1.0)


def _looked_at(count: int) -> NDArray[np.int64]:
    spread = np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(np.int64)
    return np.unique(np.concatenate([np.arange(min(count, FIRST)), spread]))


def _asked(steps: NDArray[np.int64], config: Config | Asked) -> Rates:
    if isinstance(config, Asked):
        return config.rates(steps)
    return np.array([lr_at(int(step), config) for step in steps])


def _declared_multiplier(group: str, config: Config | Asked) -> float:
    """Return the multiplier of a group, named “lr.decay:wte” by `build_optimizer`, or as it was declared."""
    known = config.multipliers()
    name = group.removeprefix("lr.") if isinstance(config, Asked) else group.partition(":")[2]
    return known.get(name, 1.0)


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
        held = held_by_a_guard(evidence)
        if held:  # the rate of these steps is the guard's
            free = ~np.isin(steps, list(held))
            steps, values = steps[free], values[free]
        at = _looked_at(len(steps))
        asked = _asked(steps[at], config) * _declared_multiplier(column, config)
        asked = asked * scaled_by_guards(evidence, steps[at])
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
    def after(self) -> NDArray[np.bool_]:
        """Which of the steps come after the warm-up."""
        return self.steps >= self.config.warmup_steps

    @property
    def as_asked(self) -> bool:
        """Whether it is the schedule asked for; a warm-up that is off by one step is question 2.2's."""
        return _equal(self.values, self.asked, self.tolerance) or _off_by_one(self)

    def explain(self, schedule_is_right: bool) -> tuple[str | None, dict[str, object]]:
        """Return the leaf that turns the schedule asked for into this curve, or None, and how it does so."""
        values, asked = self.values, self.asked
        if not np.isfinite(values).all():
            return None, {}
        if not values.any():
            return "base-lr-zero", {}
        if _stands_still(values, asked) or _stands_still(values[self.after], asked[self.after]):
            return "scheduler-never-stepped", {}
        worst = int(np.abs(values - asked).argmax())
        if not schedule_is_right:
            for unit, curve in _stretched(self.steps, self.config):
                if _proportional(values, curve, self.tolerance):
                    there = float(curve[worst])
                    scale = float(values[worst] / there) if there else 1.0
                    return "schedule-step-unit", {"unit": unit, "stretched": there, "scale": scale}
        if _proportional(values, asked, self.tolerance):
            return "lr-group-scale", {"scale": float(values[worst] / asked[worst])}
        if _climbs_unasked(values, asked):
            return "lr-discontinuous", {}
        neighbours = np.diff(self.steps) == 1
        jumps = np.abs(np.diff(values)) > 0.05 * self.config.lr_max + 3 * np.abs(np.diff(asked))
        return "lr-discontinuous" if jumps[neighbours].any() else None, {}


def _stretched(steps: NDArray[np.int64], config: Config | Asked) -> Iterator[tuple[int, Rates]]:
    """Yield the schedule on other axes, with its unit: counted in micro-batches, or stepped at each of them.

    With accumulation the unit is known. Without, any unit may fit, but only where the run is long enough to
    tell a stretched warm-up from a scaled one.
    """
    past_warmup = len(steps) and steps[-1] >= config.warmup_steps
    units = [config.accumulation] if config.accumulation > 1 else UNITS if past_warmup else []
    for unit in units:
        if isinstance(config, Asked):
            yield from ((unit, rates) for rates in config.stretched(steps, unit))
            continue
        longer = config.replace(steps=config.steps * unit, warmup_steps=config.warmup_steps * unit)
        yield unit, _asked(steps, longer)
        for offset in (0, unit - 1, unit):
            yield unit, _asked(steps * unit + offset, config)


def _off_by_one(curve: GroupCurve) -> bool:
    """Return whether the warm-up is t / W or (t + 1) / (W + 1), not (t + 1) / W, and the rest as asked."""
    steps, values, config = curve.steps, curve.values, curve.config
    late = _asked(np.maximum(steps - 1, 0), config) * _declared_multiplier(curve.group, config)
    late[steps == 0] = 0.0
    longer = curve.asked * config.warmup_steps / (config.warmup_steps + 1)
    warming_up = steps < config.warmup_steps
    return bool(
        warming_up.any()
        and any(_equal(values[warming_up], off[warming_up], curve.tolerance) for off in (late, longer))
        and np.allclose(values[~warming_up], curve.asked[~warming_up], rtol=0.1)
    )


def _stands_still(values: Rates, asked: Rates) -> bool:
    return len(values) > 1 and np.ptp(values) == 0 and np.ptp(asked) > 0


def _climbs_unasked(values: Rates, asked: Rates) -> bool:
    """Whether a run begins with a warm-up and none is asked for, as where a resumed schedule starts again."""
    begins, there = values[: CLIMB + 1], asked[: CLIMB + 1]
    climbs = len(begins) > CLIMB and (np.diff(begins) > 0).all() and (np.diff(there) <= 0).all()
    return bool(climbs and begins[0] <= 0.2 * there[0] and values.max() >= 0.5 * asked.max())


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
        if not GroupCurve.of(group, evidence, config, SAME).as_asked:
            return question.not_measured()  # what is wrong here is question 2.1's
        steps, values = evidence.metrics.column(group)
        top = config.lr_max * _declared_multiplier(group, config)
        first, last = values[steps == 0], values[steps <= end]
        if not len(first) or top == 0:
            return question.not_measured()
        seen = {
            "group": group.removeprefix("lr."),
            "end": int(steps[steps <= end][-1]),
            "first": float(first[0]),
            "share": float(last[-1] / top),
        }
        if seen["first"] <= 0 < seen["share"]:
            return question.failed("warmup-off-by-one", **seen)
        if seen["end"] < end:
            return question.not_measured()
        if seen["share"] < limits["share"]:
            return question.failed("warmup-off-by-one", **seen)
    return question.passed(**seen)


SCHEDULE_QUESTIONS = (
    Question(
        "2.1",
        {"tolerance": SAME},  # relative
        (
            "base-lr-zero",
            "scheduler-never-stepped",
            "schedule-step-unit",
            "lr-discontinuous",
            "lr-group-scale",
        ),
        _curve_as_asked,
    ),
    Question("2.1b", {"tolerance": SAME}, ("lr-group-scale",), _groups_keep_together),  # relative
    Question("2.2", {"share": WARMUP_REACHED}, ("warmup-off-by-one",), _end_of_warm_up),  # of lr_max
)
