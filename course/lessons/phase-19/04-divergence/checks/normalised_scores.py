"""Checks of `normalised-scores`: QK-norm, each query and key of each head by itself."""

import numpy as np
import torch

from course.check import Check, given, wrong


def _scores(case, axes=(3,), both=True, divide=True):
    q, k = case["q"], case["k"]
    q = q / np.sqrt((q**2).mean(axis=axes, keepdims=True) + 1e-6)
    if both:
        k = k / np.sqrt((k**2).mean(axis=axes, keepdims=True) + 1e-6)
    return q @ k.swapaxes(2, 3) / (np.sqrt(q.shape[3]) if divide else 1.0)


SLIPS = {
    "over-tokens": {"axes": (2,)},
    "over-heads": {"axes": (1, 3)},
    "queries-alone": {"both": False},
    "not-divided": {"divide": False},
}


class _Scores(Check):
    answer = "normalised_scores"
    allow_nonfinite = True

    def _case(self, rng):
        shape = (2, 3, 6, int(rng.choice([3, 5, 8])))
        size = rng.uniform(0.5, 20, (2, 3, 6, 1))
        return {"q": size * rng.normal(0, 1, shape), "k": size * rng.normal(0, 1, shape)}

    def probe(self, answer, case):
        scores = given(answer(torch.tensor(case["q"]), torch.tensor(case["k"])))
        return {"scores": torch.as_tensor(scores).double().tolist()}

    def judge(self, case, output):
        expected, actual = _scores(case), np.array(output["scores"])
        if actual.shape != expected.shape:
            return wrong("scores-shape", list(expected.shape), list(actual.shape))
        if not np.isfinite(actual).all():
            return wrong("zeros-divided")
        if np.allclose(actual, expected, rtol=1e-4, atol=1e-4):
            return None
        for key, slip in SLIPS.items():
            if np.allclose(actual, _scores(case, **slip), rtol=1e-3, atol=1e-3):
                return wrong(key)
        return wrong("scores-off")


class Bound(_Scores):
    name = "normalised-scores/bound"

    def cases(self, rng):
        case = self._case(rng)
        yield case | {"k": case["q"].copy()}


class Value(_Scores):
    name = "normalised-scores/value"

    def cases(self, rng):
        yield self._case(rng)
        yield self._case(rng)


class Zeros(_Scores):
    name = "normalised-scores/zeros"

    def cases(self, rng):
        case = self._case(rng)
        for name in ("q", "k"):
            changed = case[name].copy()
            changed[0, 1, 2] = 0.0
            yield case | {name: changed}
        for name in ("q", "k"):  # so short that the 1e-6 counts
            yield case | {name: 1e-4 * case[name]}
