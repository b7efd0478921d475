"""Checks of `noise-scale`: McCandlish's B_simple from the gradients of micro-batches."""

import math

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, close, number, wrong


def _parts(case, ddof=1):
    gradients = case["gradients"]
    s = gradients.var(axis=0, ddof=ddof).sum()
    return s, float((gradients.mean(axis=0) ** 2).sum()), len(gradients)


def _right(case):
    s, mean, k = _parts(case)
    signal = mean - s / k
    return float(s * case["tokens"] / signal) if signal > 0 else math.inf


class _Noise(Check):
    answer = "noise_scale"
    allow_nonfinite = True

    def _case(self, rng, signal, noise, k=6):
        gradients = signal * rng.normal(0, 1, 12) + noise * rng.normal(0, 1, (k, 12))
        return {"gradients": gradients, "tokens": int(rng.integers(100, 900))}

    def probe(self, answer, case):
        gradients, call = torch.tensor(case["gradients"]), in_one_place(answer)
        return {name: number(call(gradients, case["tokens"])) for name in ("noise", "again")}

    def judge(self, case, output):
        expected, actual = _right(case), output["noise"]
        if math.isinf(expected):
            return None if actual == math.inf else wrong("signal-invented", expected, actual)
        if close(actual, expected, rtol=1e-5, atol=1e-6):
            same = close(output["again"], expected, rtol=1e-5, atol=1e-6)
            return None if same else wrong("gradients-overwritten", expected, output["again"])
        s, mean, k = _parts(case)
        within = case["gradients"].var(axis=1, ddof=1).sum()
        few, tokens, one = _parts(case, ddof=0)[0], case["tokens"], s / case["gradients"].shape[1]
        slips = {
            "noise-in-the-signal": s * tokens / mean,
            "in-micro-batches": s / (mean - s / k),
            "divided-by-k": few * tokens / (mean - few / k),
            "mean-not-sum": one * tokens / (mean - one / k),
            "wrong-axis": within * tokens / (mean - within / k),
            "upside-down": (mean - s / k) / (s * tokens) if s else math.inf,
            "norms-of-the-parts": s * tokens / float((case["gradients"] ** 2).sum(axis=1).mean()),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-5)), "noise-off")
        return wrong(key, expected, actual)


class NoNoise(_Noise):
    name = "noise-scale/no-noise"

    def cases(self, rng):
        yield self._case(rng, 1.0, 0.0)
        yield self._case(rng, 1.0, 0.05)


class Value(_Noise):
    name = "noise-scale/value"

    def cases(self, rng):
        yield self._case(rng, 1.0, 0.7)
        yield self._case(rng, 2.0, 1.5, k=4)


class NoSignal(_Noise):
    name = "noise-scale/no-signal"

    def cases(self, rng):
        case = self._case(rng, 0.0, 1.0)
        centred = case["gradients"] - case["gradients"].mean(axis=0)
        yield case | {"gradients": 0.1 * centred + 0.001}
        yield case | {"gradients": centred + 5.0}
        s = centred.var(axis=0, ddof=1).sum()  # |ḡ|² − s/k just above 0
        yield case | {"gradients": centred + np.sqrt(1.3 * s / len(centred) / 12)}
