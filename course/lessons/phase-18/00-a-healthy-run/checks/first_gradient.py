"""Checks of `first-gradient`: one question of the tree, put to a log."""

import math

import numpy as np

from course.check import Check, given, wrong

VERDICTS = ("pass", "warn", "fail", "not measured")


class _FirstGradient(Check):
    """`norms` are ranges that the norm of step 0 is drawn from; the steps after it say something else."""

    answer = "first_gradient"
    expected: str
    norms: tuple[tuple[float, float], ...] = ()
    later = 1.0  # what the norm of a later step is about

    def cases(self, rng):
        for low, high in self.norms:
            norm = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            yield self.log(rng, norm)

    def contrasts(self, rng, cases):
        for norm in (0.5, 1e4, 30.0):
            yield self.log(rng, norm) | {"kind": "contrast"}

    def log(self, rng, norm, first=0):
        norms = [norm, *(self.later * rng.uniform(0.9, 1.1, 12))]
        records = [{"step": first + i, "loss": 6.2, "grad_norm": float(n)} for i, n in enumerate(norms)]
        return {"records": records, "norm": norm}

    def probe(self, answer, case):
        return {"verdict": str(given(answer(case["records"])))}

    def judge(self, case, output):
        actual = output["verdict"]
        if actual == self.expected:
            return None
        if actual not in VERDICTS:
            return wrong("not-a-verdict", self.expected, actual)
        return wrong(self.slip(case, actual), self.expected, actual)


class Healthy(_FirstGradient):
    name = "first-gradient/healthy"
    expected = "pass"
    norms = ((0.12, 0.9), (1.1, 9.0), (0.105, 0.14), (9.3, 9.9))
    later = 300.0

    def slip(self, case, actual):
        return "healthy-refused" if actual == "warn" else "other-steps"


class Odd(_FirstGradient):
    name = "first-gradient/odd"
    expected = "warn"
    norms = ((11.0, 90.0), (0.0021, 0.049), (10.1, 10.8), (0.06, 0.095), (99.2, 99.9), (0.0011, 0.0018))

    def slip(self, case, actual):
        if actual == "pass":
            return "odd-passes" if case["norm"] > 1 else "small-passes"
        return "odd-refused"


class Broken(_FirstGradient):
    name = "first-gradient/broken"
    expected = "fail"
    norms = ((110.0, 9_000.0), (1e-6, 9e-4), (100.1, 100.8), (6e-4, 9e-4))

    def cases(self, rng):
        yield from super().cases(rng)
        yield self.log(rng, 0.0)
        yield self.log(rng, math.nan)
        yield self.log(rng, math.inf)

    def slip(self, case, actual):
        if math.isnan(case["norm"]):
            return "nan-not-measured" if actual == "not measured" else "nan-let-through"
        if case["norm"] == 0.0 and actual == "not measured":
            return "zero-not-measured"
        return "large-let-through" if case["norm"] > 1 else "small-let-through"


class NotMeasured(_FirstGradient):
    name = "first-gradient/not-measured"
    expected = "not measured"

    def cases(self, rng):
        yield self.log(rng, 1.0, first=int(rng.integers(2, 90))) | {"kind": "later"}
        bare = self.log(rng, 1.0) | {"kind": "bare"}
        del bare["records"][0]["grad_norm"]
        yield bare
        yield {"records": [], "kind": "empty"}

    def slip(self, case, actual):
        return {"later": "begins-later", "bare": "no-norm", "empty": "empty-log"}[case["kind"]]
