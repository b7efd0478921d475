"""Checks of `lr-sensitivity`: how far the runs of a sweep lie above the best one, on average."""

import math

from course.afterwards import in_one_place
from course.check import Check, close, number, wrong


class _Sensitivity(Check):
    answer = "lr_sensitivity"
    allow_nonfinite = True

    def _sweep(self, rng, *more):
        losses = [round(float(loss), 3) for loss in rng.uniform(2, 4, 4)]
        return {"losses": [*more, *losses], "start": round(float(rng.uniform(5, 6)), 3)}

    def probe(self, answer, case):
        losses, call = list(case["losses"]), in_one_place(answer)
        starts = {"value": case["start"], "again": case["start"] + 1}
        return {name: number(call(losses, start)) for name, start in starts.items()}

    def judge(self, case, output):
        start, actual = case["start"], output["value"]
        known = [loss for loss in case["losses"] if math.isfinite(loss)]
        capped = [min(loss, start) if math.isfinite(loss) else start for loss in case["losses"]]
        best, mean = min(capped), sum(capped) / len(capped)
        if close(actual, mean - best, rtol=1e-6, atol=1e-9):
            later = [min(loss, start + 1) if math.isfinite(loss) else start + 1 for loss in case["losses"]]
            then = sum(later) / len(later) - min(later)
            same = close(output["again"], then, rtol=1e-6, atol=1e-9)
            return None if same else wrong("list-overwritten", then, output["again"])
        if not known:
            return wrong("none-left", 0.0, actual)
        finite = [min(loss, start) for loss in known]
        slips = {
            "best-not-capped": mean - min(known),
            "diverged-left-out": sum(finite) / len(finite) - best,
            "not-capped": sum(known) / len(known) - best,
            "range-not-mean": max(capped) - best,
            "best-not-taken-off": mean,
        }
        if not math.isfinite(actual):
            return wrong("not-finite", mean - best, actual)
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-6)), "sensitivity-off")
        return wrong(key, mean - best, actual)


class Value(_Sensitivity):
    name = "lr-sensitivity/value"

    def cases(self, rng):
        yield self._sweep(rng)
        yield self._sweep(rng)


class Capped(_Sensitivity):
    name = "lr-sensitivity/capped"

    def cases(self, rng):
        yield self._sweep(rng, 9.0)
        yield self._sweep(rng, 7.5, 30.0)
        start = round(float(rng.uniform(5, 6)), 3)
        yield {"losses": [start + round(float(more), 3) for more in rng.uniform(1, 9, 3)], "start": start}


class Diverged(_Sensitivity):
    name = "lr-sensitivity/diverged"

    def cases(self, rng):
        yield self._sweep(rng, math.nan)
        yield self._sweep(rng, math.inf)
        yield self._sweep(rng, math.nan, math.inf)
        yield {"losses": [math.nan, math.inf], "start": round(float(rng.uniform(5, 6)), 3)}
