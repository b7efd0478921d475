"""Checks of `start-verdict`: the verdict on a first loss."""

import math

from course.check import Check, wrong

PASS, WARN, TOO_HIGH, TOO_LOW, UNKNOWN = "pass", "warn", "too-high", "too-low", "unknown"


def _vocabulary(rng):
    """So far from 512 that its limits never fit by chance."""
    return int(rng.integers(8_000, 110_000))


def _contrasts(rng):
    """Losses far from each other: no verdict is right for all of them."""
    vocab_size = _vocabulary(rng)
    for delta in (-2.0, 0.0, 30.0):
        yield {"vocab_size": vocab_size, "loss": round(math.log(vocab_size) + delta, 3)}


class _Verdict(Check):
    """Bands by Δ = loss − ln V; cases lie close to either side of a limit, never on it: ≤ and < both pass."""

    answer = "start_verdict"
    bands: dict[str, tuple[tuple[float, float], ...]]  # expected verdict → ranges of Δ

    def cases(self, rng):
        for verdict, ranges in self.bands.items():
            for low, high in ranges:
                for vocab_size in (512, _vocabulary(rng)):
                    delta = round(float(rng.uniform(low, high)), 3)
                    loss = round(math.log(vocab_size) + delta, 3)
                    yield {"vocab_size": vocab_size, "loss": loss, "delta": delta, "expected": verdict}

    def contrasts(self, rng, cases):
        yield from _contrasts(rng)

    def probe(self, answer, case):
        return {"verdict": str(answer(case["loss"], case["vocab_size"]))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["verdict"]
        if actual == expected:
            return None
        if actual not in (PASS, WARN, TOO_HIGH, TOO_LOW, UNKNOWN):
            return wrong("not-a-verdict", expected, actual)
        if case["vocab_size"] != 512 and actual == _by_the_course_limits(case["loss"]):
            return wrong("fixed-limits", expected, actual)
        return wrong(self._slip(expected, actual), expected, actual)

    def _slip(self, expected, actual):
        if actual == UNKNOWN and expected == TOO_HIGH:
            return "infinity-is-known"
        if expected == TOO_LOW:
            return "low-is-not-" + ("high" if actual in (TOO_HIGH, WARN) else "fine")
        if expected == PASS:
            return "chance-refused"
        return "high-let-through" if actual == PASS else "wrong-band"


def _by_the_course_limits(loss):
    """The verdict of somebody who wrote down the limits for V = 512 as numbers."""
    delta = loss - math.log(512)
    if delta < -0.5:
        return TOO_LOW
    return PASS if delta <= 0.5 else WARN if delta <= 1.76 else TOO_HIGH


class Healthy(_Verdict):
    name = "start-verdict/healthy"
    bands = {PASS: ((-0.45, -0.3), (0.05, 0.4), (-0.495, -0.48), (0.48, 0.495))}


class High(_Verdict):
    name = "start-verdict/high"
    bands = {
        WARN: ((0.6, 1.6), (0.505, 0.52), (1.74, 1.755)),
        TOO_HIGH: ((1.9, 3.4), (4.0, 60.0), (1.765, 1.78)),
    }

    def cases(self, rng):
        yield from super().cases(rng)
        yield {"vocab_size": 512, "loss": math.inf, "delta": math.inf, "expected": TOO_HIGH}


class Low(_Verdict):
    name = "start-verdict/low"
    bands = {TOO_LOW: ((-2.5, -1.1), (-0.9, -0.6), (-0.52, -0.505))}


class NotANumber(Check):
    name = "start-verdict/nan"
    answer = "start_verdict"

    def cases(self, rng):
        yield {"vocab_size": _vocabulary(rng), "loss": math.nan}

    def contrasts(self, rng, cases):
        yield from _contrasts(rng)

    def probe(self, answer, case):
        return {"verdict": str(answer(case["loss"], case["vocab_size"]))}

    def judge(self, case, output):
        if output["verdict"] == UNKNOWN:
            return None
        if output["verdict"] == PASS:
            return wrong("nan-passes", UNKNOWN, PASS)
        return wrong("nan-named", UNKNOWN, output["verdict"])
