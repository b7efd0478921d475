"""Checks of `slope`: how fast a smoothed loss falls."""

import math

import numpy as np

from course.check import Check, close, number, wrong


class _Slope(Check):
    answer = "slope"

    def probe(self, answer, case):
        given = {} if case.get("bare") else {name: case[name] for name in ("beta", "early", "later")}
        return {"slope": number(answer(list(map(float, case["losses"])), **given))}


def _levels(rng, *levels):
    """240 losses that stay at a level from a step on, the levels moved up by a drawn amount."""
    losses = np.zeros(240)
    for start, level in levels:
        losses[start:] = level
    return {"losses": np.round(losses + rng.uniform(0.5, 2), 3)}


def _by_hand(case):
    """The slopes of a case's smoothed losses: from the first loss on, and corrected."""
    beta, first = case["beta"], case["losses"][0]
    mean, weight, means = 0.0, 0.0, []
    for loss in case["losses"]:
        mean, weight = beta * mean + (1 - beta) * loss, beta * weight + (1 - beta)
        means.append((mean + (1 - weight) * first, mean / weight))
    both = zip(means[case["early"]], means[case["later"]], strict=True)
    return [float(after - before) / (case["later"] - case["early"]) * 100 for before, after in both]


class Line(_Slope):
    name = "slope/line"

    def cases(self, rng):
        for sign, early, later in ((-1, 60, 180), (1, 100, 350)):
            per_step = sign * round(float(rng.uniform(0.002, 0.008)), 5)
            losses = 6.0 + per_step * np.arange(400)
            yield {"losses": losses, "beta": 0.8, "early": early, "later": later, "per_step": per_step}
        bend = {"beta": 0.8, "early": 60, "later": 180, "kind": "not-a-fit"}
        yield _levels(rng, (0, 6.0), (70, 3.0)) | bend
        # so steep at the steps 50 and 200 that each step counts
        ends = {"beta": 0.98, "early": 50, "later": 200, "bare": True, "kind": "defaults-changed"}
        yield _levels(rng, (0, 6.0), (45, 2.0), (195, 9.0)) | ends

    def judge(self, case, output):
        actual = output["slope"]
        if "kind" in case:
            right = _by_hand(case)
            if any(close(actual, slope, rtol=0.005) for slope in right):
                return None
            raw = float(case["losses"][case["later"]] - case["losses"][case["early"]])
            raw = close(actual, raw / (case["later"] - case["early"]) * 100)
            return wrong("not-smoothed" if raw else case["kind"], right[0], actual)
        expected = 100 * case["per_step"]
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
        for later in (steps + 50, steps, steps - 1):
            yield {"losses": losses, "beta": 0.9, "early": 50, "later": later, "steps": steps}

    def judge(self, case, output):
        unknown = math.isnan(output["slope"])
        if case["later"] < case["steps"]:
            return wrong("last-step-is-there", -1.0, math.nan) if unknown else None
        return None if unknown else wrong("short-is-unknown", math.nan, output["slope"])
