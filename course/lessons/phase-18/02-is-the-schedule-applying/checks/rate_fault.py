"""Checks of `rate-fault`: the fault behind one group's rates."""

import math

import numpy as np

from course.check import Check, given, wrong

from .shared import FLAT, JUMPS, LATE, PASS, SCALE, UNKNOWN, WORDS, ZERO, curve_of, draw_settings, stretched


class _RateFault(Check):
    """`kinds` yields (expected word, realised, asked); `slips` are keyed by the word that was given."""

    answer = "rate_fault"

    def cases(self, rng):
        for expected, realised, asked in self.kinds(rng):
            yield {"expected": expected, "realised": realised, "asked": asked}

    def contrasts(self, rng, cases):
        for asked in (case["asked"] for case in cases):
            for realised in (asked, np.zeros_like(asked), 0.3 * asked):
                yield {"realised": realised, "asked": asked}

    def probe(self, answer, case):
        return {"fault": str(given(answer(np.array(case["realised"]), np.array(case["asked"]))))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["fault"]
        if actual == expected:
            return None
        if actual not in WORDS:
            return wrong("not-a-fault-name", expected, actual)
        if actual == PASS and case.get("special"):
            return wrong(case["special"], expected, actual)
        return wrong(self.slips.get(actual, self.otherwise), expected, actual)


def _signs(asked):
    return np.where(np.arange(len(asked)) % 2, 1.0, -1.0)


def _leaping(asked, times):
    """The rates, lifted from the middle of the decay on by so many times the largest change asked for."""
    changes = np.abs(np.diff(asked))
    late = np.arange(len(changes)) > len(changes) // 2
    place = int(np.flatnonzero(late)[changes[late].argmin()])  # nearly flat: the leap is all there is
    lifted = asked.copy()
    lifted[place + 1 :] += times * changes.max()
    return lifted


class Equal(_RateFault):
    name = "rate-fault/equal"
    slips = {SCALE: "factor-one", UNKNOWN: "compares-exactly"}
    otherwise = "equal-refused"

    def kinds(self, rng):
        asked = curve_of(draw_settings(rng))
        yield PASS, asked, asked
        yield PASS, asked * (1 + 1e-6 * rng.uniform(-1, 1, len(asked))), asked
        yield PASS, asked * (1 + 5e-4 * _signs(asked)), asked


class Flat(_RateFault):
    name = "rate-fault/flat"
    slips = {FLAT: "zero-is-flat-too", SCALE: "zero-is-a-factor", LATE: "zero-throughout"}
    otherwise = "flat-missed"

    def kinds(self, rng):
        asked = curve_of(draw_settings(rng))
        yield ZERO, np.zeros_like(asked), asked
        yield FLAT, np.full_like(asked, asked.max()), asked
        yield FLAT, np.full_like(asked, asked[0]), asked


class Scaled(_RateFault):
    name = "rate-fault/scaled"
    slips = {PASS: "scale-passes", JUMPS: "scale-is-no-leap"}
    otherwise = "scale-missed"

    def kinds(self, rng):
        asked = curve_of(draw_settings(rng))
        yield SCALE, asked * round(float(rng.uniform(0.05, 0.8)), 2), asked
        yield SCALE, asked * round(float(rng.uniform(4, 10)), 1), asked
        yield SCALE, 0.1 * asked * (1 + 1e-6 * rng.uniform(-1, 1, len(asked))), asked
        yield SCALE, 0.1 * asked * (1 + 4e-4 * _signs(asked)), asked

    def cases(self, rng):
        yield from super().cases(rng)
        tiny = curve_of(draw_settings(rng))
        tiny *= 4e-9 / tiny.max()
        yield {"expected": SCALE, "realised": 0.5 * tiny, "asked": tiny, "special": "margin-absolute"}


class Late(_RateFault):
    name = "rate-fault/late"
    slips = {ZERO: "one-zero-is-not-all", PASS: "late-passes"}
    otherwise = "late-missed"

    def kinds(self, rng):
        settings = draw_settings(rng)
        asked = curve_of(settings)
        yield LATE, np.concatenate([[0.0], asked[:-1]]), asked
        warmup, late = settings["warmup_steps"], asked.copy()
        late[:warmup] -= asked[0]
        yield LATE, late, asked


class Leaps(_RateFault):
    name = "rate-fault/leaps"
    slips = {
        JUMPS: "smooth-is-no-leap",
        SCALE: "not-one-factor",
        LATE: "late-by-more",
        ZERO: "one-zero-is-not-all",
    }
    otherwise = "leap-missed"

    def cases(self, rng):
        yield from super().cases(rng)
        asked = curve_of(draw_settings(rng))
        for factor, margin in ((1.0, 3e-3), (1.0, 1.5e-3), (0.1, 2e-3), (0.1, 1.2e-3)):
            realised = factor * asked * (1 + margin * _signs(asked))
            case = {"expected": UNKNOWN, "realised": realised, "asked": asked}
            yield case | {"special": "margin-too-wide", "percent": round(100 * margin, 2)}

    def kinds(self, rng):
        settings = draw_settings(rng)
        asked = curve_of(settings)
        yield JUMPS, curve_of(settings, schedule="step", drop_factor=0.2), asked
        yield UNKNOWN, _leaping(asked, 2.8), asked
        yield JUMPS, _leaping(asked, 3.2), asked
        yield UNKNOWN, stretched(settings, 3), asked
        yield UNKNOWN, np.concatenate([[0.0, 0.0], asked[:-2]]), asked
        broken = asked.copy()
        broken[int(rng.integers(len(asked)))] = math.nan
        yield UNKNOWN, broken, asked
