"""Checks of `audit`: the rates of every group, on the right axis."""

import numpy as np

from course.check import Check, given, wrong
from minigpt.training.schedule import lr_at

from .shared import (
    FLAT,
    PASS,
    SCALE,
    UNIT,
    UNKNOWN,
    WORDS,
    ZERO,
    config_of,
    curve_of,
    draw_settings,
    linear_at,
    stretched,
)


class _Audit(Check):
    """`runs` yields (accumulation, groups), where groups are name → (expected word, rates)."""

    answer = "audit"
    slips: dict[str, str] = {}
    of_another = ()  # accumulations of runs whose schedule is not the lesson's

    def cases(self, rng):
        settings = draw_settings(rng)
        for accumulation, groups in self.runs(rng, settings):
            rates = {name: pair[1] for name, pair in groups.items()}
            expected = {name: pair[0] for name, pair in groups.items()}
            case = settings | {"accumulation": accumulation, "rates": rates, "expected": expected}
            yield case | {"linear": False}
        for accumulation in self.of_another:
            rates = {"core": stretched(settings, accumulation, linear_at)}
            expected = {"core": PASS if accumulation == 1 else UNIT}
            case = settings | {"accumulation": accumulation, "rates": rates, "expected": expected}
            yield case | {"linear": True}

    def contrasts(self, rng, cases):
        for case in cases:
            asked = curve_of(case)[: len(next(iter(case["rates"].values())))]
            yield case | {"rates": {name: asked for name in case["rates"]}}
            yield case | {"rates": {name: 0.5 * asked for name in case["rates"]}}

    def probe(self, answer, case):
        rates = {name: values.tolist() for name, values in case["rates"].items()}
        schedule = linear_at if case["linear"] else lr_at
        found = given(answer(rates, config_of(case, accumulation=case["accumulation"]), schedule))
        if not isinstance(found, dict):
            return {"found": None, "kind": type(found).__name__}
        return {"found": {str(name): str(word) for name, word in found.items()}}

    def judge(self, case, output):
        expected, actual = case["expected"], output["found"]
        if actual == expected:
            return None
        if type(actual) is not dict:
            return wrong("not-a-dict", kind=output["kind"])
        for name in expected:
            if name not in actual:
                return wrong("group-missing", expected, actual, group=name)
            if actual[name] not in WORDS:
                return wrong("not-a-fault-name", expected, actual)
        if set(actual) != set(expected):
            return wrong("group-invented", expected, actual)
        if len(actual) > 1 and set(actual.values()) == {next(iter(expected.values()))}:
            return wrong("first-group-only", expected, actual)
        name = next(name for name in expected if actual[name] != expected[name])
        if case["linear"]:
            return wrong("own-schedule", expected, actual, group=name)
        return wrong(self.slips.get(actual[name], "group-misjudged"), expected, actual, group=name)


class EveryGroup(_Audit):
    name = "audit/every-group"
    of_another = (1,)

    def runs(self, rng, settings):
        asked = curve_of(settings)
        yield 1, {"core": (PASS, asked), "memory": (SCALE, 0.1 * asked), "head": (PASS, asked)}
        yield 1, {"decay": (PASS, asked), "no_decay": (FLAT, 0.0 * asked + asked.max())}
        asked = asked[: -int(rng.integers(3, 15))]  # a run that was stopped
        yield 4, {"wte": (ZERO, 0.0 * asked), "decay": (PASS, asked), "no_decay": (PASS, asked)}


class MicroBatches(_Audit):
    name = "audit/micro-batches"
    of_another = (3,)
    slips = {UNKNOWN: "axis-not-tried", SCALE: "warm-up-looks-scaled"}

    def runs(self, rng, settings):
        for accumulation in (3, int(rng.choice([2, 5, 6]))):
            rates = stretched(settings, accumulation)
            yield accumulation, {"decay": (UNIT, rates), "no_decay": (UNIT, rates)}
        rates = rates[: settings["warmup_steps"] - 2]
        yield accumulation, {"decay": (UNIT, rates), "no_decay": (UNIT, rates)}


class OneGroupRight(_Audit):
    name = "audit/one-group-right"
    slips = {UNIT: "one-right-group"}

    def runs(self, rng, settings):
        accumulation = int(rng.integers(2, 7))
        asked = curve_of(settings)[: settings["warmup_steps"] - 2]
        yield accumulation, {"core": (PASS, asked), "memory": (SCALE, asked / accumulation)}
        yield 1, {"decay": (SCALE, 0.25 * asked), "no_decay": (SCALE, 0.25 * asked)}


class TwoFaults(_Audit):
    name = "audit/two-faults"
    slips = {UNKNOWN: "stretched-and-scaled", UNIT: "flat-is-not-stretched"}

    def runs(self, rng, settings):
        accumulation = int(rng.integers(2, 4))
        rates = stretched(settings, accumulation)
        yield accumulation, {"memory": (UNIT, 0.1 * rates), "core": (UNIT, rates)}
        flat = np.full_like(rates, rates.max())
        yield accumulation, {"bias": (FLAT, flat), "core": (UNIT, rates)}
