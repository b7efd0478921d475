"""Checks of `slope`: how fast a smoothed loss falls."""

import math

import numpy as np

from course.check import Check, close, number, wrong


class _Slope(Check):
    answer = "slope"

    def probe(self, answer, case):
        given = {name: case[name] for name in ("beta", "early", "later")}
        return {"slope": number(answer(list(map(float, case["losses"])), **given))}


class Line(_Slope):
    name = "slope/line"

    def cases(self, rng):
        for sign, early, later in ((-1, 60, 180), (1, 100, 350)):
            per_step = sign * round(float(rng.uniform(0.002, 0.008)), 5)
            losses = 6.0 + per_step * np.arange(400)
            yield {"losses": losses, "beta": 0.8, "early": early, "later": later, "per_step": per_step}

    def judge(self, case, output):
        actual, expected = output["slope"], 100 * case["per_step"]
        if close(actual, expected, rtol=0.005):
            return None
        span = case["later"] - case["early"]
        slips = {
            "wrong-sign": -expected,
            "per-step": case["per_step"],
            "not-per-100": case["per_step"] * span,
            "divides-by-later": expected * span / case["later"],
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=0.02)), "slope-off")
        return wrong(key, expected, actual)


class Noise(_Slope):
    """A flat curve; the single losses at both ends of the stretch happen to be far off."""

    name = "slope/noise"

    def cases(self, rng):
        losses = np.round(4 + rng.uniform(-0.02, 0.02, 240), 4)
        losses[60], losses[200] = 5.0, 3.0
        yield {"losses": losses, "beta": 0.98, "early": 60, "later": 200}

    def contrasts(self, rng, cases):
        fall = np.arange(240) * round(float(rng.uniform(0.004, 0.008)), 5)
        yield cases[0] | {"losses": 5 - fall}

    def judge(self, case, output):
        if abs(output["slope"]) < 0.2:
            return None
        return wrong("slope-of-noise", 0.0, output["slope"])


class TooShort(_Slope):
    name = "slope/short"
    allow_nonfinite = True

    def cases(self, rng):
        steps = int(rng.integers(120, 200))
        start = round(float(rng.uniform(4, 7)), 2)
        losses = [start - 0.01 * step for step in range(steps)]
        for later in (steps + 50, steps):
            yield {"losses": losses, "beta": 0.9, "early": 50, "later": later}

    def contrasts(self, rng, cases):
        yield cases[0] | {"later": len(cases[0]["losses"]) - 10}

    def judge(self, case, output):
        return None if math.isnan(output["slope"]) else wrong("short-is-unknown", math.nan, output["slope"])
