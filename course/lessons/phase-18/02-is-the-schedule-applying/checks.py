"""Checks of lesson 18-02: a schedule, the fault of one group's rates, an audit of every group."""

import math

import numpy as np

from course.check import Check, array, close, number, wrong
from course.probing import Unusable
from minigpt.config import Config
from minigpt.schedule import lr_at

PASS, ZERO, FLAT, LATE = "pass", "base-lr-zero", "scheduler-never-stepped", "warmup-off-by-one"
UNIT, SCALE, JUMPS, UNKNOWN = "schedule-step-unit", "lr-group-scale", "lr-discontinuous", "unknown"
WORDS = (PASS, ZERO, FLAT, LATE, UNIT, SCALE, JUMPS, UNKNOWN)


def _same(actual, expected):
    return close(actual, expected, rtol=1e-4, atol=1e-12)


def _settings(rng):
    """A schedule whose numbers are not the lesson's, and whose run outlasts a warm-up stretched by 3."""
    warmup = int(rng.integers(6, 13))
    lr_max = round(float(10 ** rng.uniform(-4, -1.5)), 6)
    share = float(rng.choice([0.05, 0.1, 0.2]))
    steps = 4 * warmup + int(rng.integers(5, 30))
    return {"steps": steps, "warmup_steps": warmup, "lr_max": lr_max, "lr_min": lr_max * share}


def _config(case, **more):
    names = ("steps", "warmup_steps", "lr_max", "lr_min")
    return Config(**{name: case[name] for name in names}, **more)


def _curve(settings, **more):
    config = _config(settings, **more)
    return np.array([lr_at(step, config) for step in range(config.steps)])


def _stretched(settings, accumulation):
    """The rates of a schedule that counts micro-batches, over the steps that the run takes."""
    longer = {name: accumulation * settings[name] for name in ("steps", "warmup_steps")}
    return _curve(settings | longer)[: settings["steps"]]


class _Schedule(Check):
    """`steps` says at which steps to ask for the rate, `slip` names what went wrong there."""

    answer = "lr_at"

    def cases(self, rng):
        for _ in range(2):
            settings = _settings(rng)
            yield settings | {"at": self.steps(settings)}

    def probe(self, answer, case):
        config = _config(case)
        return {"rates": array([number(answer(step, config)) for step in case["at"]])}

    def judge(self, case, output):
        rates, expected = output["rates"], np.array([lr_at(step, _config(case)) for step in case["at"]])
        if _same(rates, expected):
            return None
        shown = (expected, rates) if len(rates) > 1 else (float(expected[0]), float(rates[0]))
        return wrong(self.slip(case, rates, expected), *shown)


def _warm_up_slips(t, case):
    """What the usual slips give at step t of the warm-up, by message key."""
    top, low, w = case["lr_max"], case["lr_min"], case["warmup_steps"]
    return [
        ("starts-at-zero", top * t / w),
        ("starts-at-zero", top * t / (w - 1)),
        ("no-warm-up", top + 0.0 * t),
        ("divides-by-w-plus-one", top * (t + 1) / (w + 1)),
        ("warm-up-from-lr-min", low + (top - low) * (t + 1) / w),
        ("warm-up-from-lr-min", low + (top - low) * t / w),
    ]


def _decay_slips(t, case):
    """What the usual slips give at step t after the warm-up, by message key."""
    top, low = case["lr_max"], case["lr_min"]
    w, last = case["warmup_steps"], case["steps"] - 1
    p = (t - (w - 1)) / (last - (w - 1))

    def cosine(progress):
        return low + 0.5 * (top - low) * (1 + np.cos(np.pi * progress))

    return [
        ("never-decays", top + 0.0 * t),
        ("linear-not-cosine", top + (low - top) * p),
        ("top-twice", cosine((t - w) / (last - w))),
        ("ends-late", cosine((t - w) / (last + 1 - w))),
        ("ends-late", cosine((t - (w - 1)) / (last + 1 - (w - 1)))),
        ("warm-up-not-subtracted", cosine(t / last)),
        ("warm-up-not-subtracted", cosine(t / (last + 1))),
        ("down-to-zero", 0.5 * top * (1 + np.cos(np.pi * p))),
        ("lr-min-on-top", low + 0.5 * top * (1 + np.cos(np.pi * p))),
        ("half-forgotten", low + (top - low) * (1 + np.cos(np.pi * p))),
        ("quarter-cosine", low + (top - low) * np.cos(np.pi * p / 2)),
        ("upside-down", low + 0.5 * (top - low) * (1 - np.cos(np.pi * p))),
        ("pi-forgotten", low + 0.5 * (top - low) * (1 + np.cos(p))),
    ]


def _named(slips, actual, otherwise):
    return next((key for key, rates in slips if _same(actual, rates)), otherwise)


class FirstStep(_Schedule):
    name = "lr-schedule/first-step"

    def steps(self, settings):
        return [0]

    def slip(self, case, rates, expected):
        return _named(_warm_up_slips(np.zeros(1), case), rates, "first-off")


class WarmUp(_Schedule):
    name = "lr-schedule/warm-up"

    def steps(self, settings):
        return list(range(1, settings["warmup_steps"]))

    def slip(self, case, rates, expected):
        t = np.array(case["at"])
        late = ("one-step-late", case["lr_max"] * t / case["warmup_steps"])
        if _same(rates[:-1], expected[:-1]):
            return "top-missed"
        return _named([late, *_warm_up_slips(t, case)], rates, "warm-up-off")


class Cosine(_Schedule):
    name = "lr-schedule/cosine"

    def steps(self, settings):
        return list(range(settings["warmup_steps"], settings["steps"] - 1))

    def slip(self, case, rates, expected):
        return _named(_decay_slips(np.array(case["at"]), case), rates, "decay-off")


class LastStep(_Schedule):
    name = "lr-schedule/last-step"

    def steps(self, settings):
        return [settings["steps"] - 1]

    def slip(self, case, rates, expected):
        low, top = case["lr_min"], case["lr_max"]
        if low < rates[0] < low + 0.1 * (top - low):
            return "stops-short"
        return _named([("zero-at-the-end", [0.0]), ("top-at-the-end", [top])], rates, "end-off")


class Edges(_Schedule):
    name = "lr-schedule/edges"

    def cases(self, rng):
        settings = _settings(rng)
        yield settings | {"kind": "without", "warmup_steps": 0, "at": [0]}
        steps = settings["steps"]
        yield settings | {"kind": "only", "warmup_steps": steps, "at": [0, steps - 1]}
        yield settings | {"kind": "beyond", "at": [steps - 1, steps, steps + 9]}

    def judge(self, case, output):
        rates, top = output["rates"], case["lr_max"]
        if case["kind"] == "without" and not _same(rates[0], top):
            return wrong("without-warm-up", top, float(rates[0]))
        if case["kind"] == "only" and not (0 <= rates[0] <= rates[1] <= 1.001 * top):
            return wrong("only-warm-up", top, float(rates[1]))
        if case["kind"] == "beyond" and not (rates[1:] <= 1.0001 * rates[0]).all():
            return wrong("rises-again", rates[[0, 0]], rates[1:])
        return None


def _given(value):
    if value is None:
        raise Unusable("check.returned-none")
    return value


class _RateFault(Check):
    """`kinds` yields (expected word, realised, asked); `slips` are keyed by the word that was given."""

    answer = "rate_fault"

    def cases(self, rng):
        for expected, realised, asked in self.kinds(rng):
            yield {"expected": expected, "realised": realised, "asked": asked}

    def probe(self, answer, case):
        return {"fault": str(_given(answer(np.array(case["realised"]), np.array(case["asked"]))))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["fault"]
        if actual == expected:
            return None
        if actual not in WORDS:
            return wrong("not-a-fault-name", expected, actual)
        return wrong(self.slips.get(actual, self.otherwise), expected, actual)


class Equal(_RateFault):
    name = "rate-fault/equal"
    slips = {SCALE: "factor-one", UNKNOWN: "compares-exactly"}
    otherwise = "equal-refused"

    def kinds(self, rng):
        asked = _curve(_settings(rng))
        yield PASS, asked, asked
        yield PASS, asked * (1 + 1e-6 * rng.uniform(-1, 1, len(asked))), asked


class Flat(_RateFault):
    name = "rate-fault/flat"
    slips = {FLAT: "zero-is-flat-too", SCALE: "zero-is-a-factor", LATE: "zero-throughout"}
    otherwise = "flat-missed"

    def kinds(self, rng):
        asked = _curve(_settings(rng))
        yield ZERO, np.zeros_like(asked), asked
        yield FLAT, np.full_like(asked, asked.max()), asked
        yield FLAT, np.full_like(asked, asked[0]), asked


class Scaled(_RateFault):
    name = "rate-fault/scaled"
    slips = {PASS: "scale-passes", JUMPS: "scale-is-no-leap"}
    otherwise = "scale-missed"

    def kinds(self, rng):
        asked = _curve(_settings(rng))
        yield SCALE, asked * round(float(rng.uniform(0.05, 0.8)), 2), asked
        yield SCALE, asked * round(float(rng.uniform(4, 10)), 1), asked
        yield SCALE, 0.1 * asked * (1 + 1e-6 * rng.uniform(-1, 1, len(asked))), asked


class Late(_RateFault):
    name = "rate-fault/late"
    slips = {ZERO: "one-zero-is-not-all", PASS: "late-passes"}
    otherwise = "late-missed"

    def kinds(self, rng):
        settings = _settings(rng)
        asked = _curve(settings)
        yield LATE, np.concatenate([[0.0], asked[:-1]]), asked
        warmup, late = settings["warmup_steps"], asked.copy()
        late[:warmup] -= asked[0]
        yield LATE, late, asked


class Leaps(_RateFault):
    name = "rate-fault/leaps"
    slips = {JUMPS: "smooth-is-no-leap", SCALE: "not-one-factor"}
    otherwise = "leap-missed"

    def kinds(self, rng):
        settings = _settings(rng)
        asked = _curve(settings)
        yield JUMPS, _curve(settings, schedule="step", drop_factor=0.2), asked
        yield UNKNOWN, _stretched(settings, 3), asked
        broken = asked.copy()
        broken[int(rng.integers(len(asked)))] = math.nan
        yield UNKNOWN, broken, asked


class _Audit(Check):
    """`runs` yields (accumulation, groups), where groups are name → (expected word, rates)."""

    answer = "audit"
    slips: dict[str, str] = {}

    def cases(self, rng):
        settings = _settings(rng)
        for accumulation, groups in self.runs(rng, settings):
            rates = {name: pair[1] for name, pair in groups.items()}
            expected = {name: pair[0] for name, pair in groups.items()}
            yield settings | {"accumulation": accumulation, "rates": rates, "expected": expected}

    def probe(self, answer, case):
        rates = {name: values.tolist() for name, values in case["rates"].items()}
        found = _given(answer(rates, _config(case, accumulation=case["accumulation"]), lr_at))
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
        return wrong(self.slips.get(actual[name], "group-misjudged"), expected, actual, group=name)


class EveryGroup(_Audit):
    name = "audit/every-group"

    def runs(self, rng, settings):
        asked = _curve(settings)
        yield 1, {"core": (PASS, asked), "memory": (SCALE, 0.1 * asked), "head": (PASS, asked)}
        yield 1, {"decay": (PASS, asked), "no_decay": (FLAT, 0.0 * asked + asked.max())}
        asked = asked[: -int(rng.integers(3, 15))]  # a run that was stopped
        yield 4, {"wte": (ZERO, 0.0 * asked), "decay": (PASS, asked), "no_decay": (PASS, asked)}


class MicroBatches(_Audit):
    name = "audit/micro-batches"
    slips = {UNKNOWN: "axis-not-tried", SCALE: "warm-up-looks-scaled"}

    def runs(self, rng, settings):
        for accumulation in (3, int(rng.choice([2, 5, 6]))):
            rates = _stretched(settings, accumulation)
            yield accumulation, {"decay": (UNIT, rates), "no_decay": (UNIT, rates)}
        rates = rates[: settings["warmup_steps"] - 2]
        yield accumulation, {"decay": (UNIT, rates), "no_decay": (UNIT, rates)}


class OneGroupRight(_Audit):
    name = "audit/one-group-right"
    slips = {UNIT: "one-right-group"}

    def runs(self, rng, settings):
        accumulation = int(rng.integers(2, 7))
        asked = _curve(settings)[: settings["warmup_steps"] - 2]
        yield accumulation, {"core": (PASS, asked), "memory": (SCALE, asked / accumulation)}
        yield 1, {"decay": (SCALE, 0.25 * asked), "no_decay": (SCALE, 0.25 * asked)}


class TwoFaults(_Audit):
    name = "audit/two-faults"
    slips = {UNKNOWN: "stretched-and-scaled"}

    def runs(self, rng, settings):
        accumulation = int(rng.integers(2, 4))
        rates = _stretched(settings, accumulation)
        yield accumulation, {"memory": (UNIT, 0.1 * rates), "core": (UNIT, rates)}
