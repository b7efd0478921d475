"""Checks of `gate`: weights over the sources, and how even they are."""

import math

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, wrong


def _softmax(z, axis=-1):
    z = np.exp(z - z.max(axis, keepdims=True))
    return z / z.sum(axis, keepdims=True)


def _nats(weights, axis=-1):
    return float(-(weights * np.log(np.maximum(weights, 1e-300))).sum(axis).mean())


class _Gate(Check):
    answer = "balanced_gate"
    allow_nonfinite = True

    def _case(self, rng, shape, temperature):
        return {"logits": rng.normal(0, 3, shape), "temperature": temperature}

    def probe(self, answer, case):
        logits = torch.tensor(case["logits"], dtype=torch.float32)
        call = in_one_place(answer)
        weights, evenness = call(logits, case["temperature"])
        found = {"weights": array(weights, case["logits"].shape), "evenness": array(evenness).ravel()}
        return found | {"again": array(call(logits, case["temperature"])[0], case["logits"].shape)}


class _Weights(_Gate):
    def judge(self, case, output):
        z, temperature, actual = case["logits"], case["temperature"], output["weights"]
        expected = _softmax(z / temperature)
        if close(actual, expected, rtol=1e-4, atol=1e-6):
            same = close(output["again"], expected, rtol=1e-4, atol=1e-6)
            return None if same else wrong("logits-overwritten")
        sigmoid = 1 / (1 + np.exp(-z / temperature))
        slips = {
            "over-tokens": _softmax(z / temperature, 1),
            "over-rows": _softmax(z / temperature, 0),
            "no-temperature": _softmax(z),
            "times-temperature": _softmax(z * temperature),
            "not-softmax": sigmoid,
            "not-softmax ": sigmoid / sigmoid.sum(-1, keepdims=True),
        }
        key = next(
            (key for key, slip in slips.items() if close(actual, slip, rtol=1e-4, atol=1e-6)), "gate-off"
        )
        return wrong(key.strip())


class Sources(_Weights):
    name = "gate/sources"

    def cases(self, rng):
        yield self._case(rng, (2, 5, 3), 1.0)
        yield self._case(rng, (4, 3, 2), 1.0)


class Temperature(_Weights):
    name = "gate/temperature"

    def cases(self, rng):
        yield self._case(rng, (2, 5, 3), 4.0)
        yield self._case(rng, (3, 4, 3), 0.5)


class _Evenness(_Gate):
    def judge(self, case, output):
        z, temperature, given = case["logits"], case["temperature"], output["evenness"]
        if given.size != 1:
            return wrong("one-number", 1, given.size)
        actual = float(given[0])
        weights, (_, tokens, sources) = _softmax(z / temperature), z.shape
        expected = _nats(weights) / math.log(sources)
        if math.isnan(actual):
            return wrong("zero-log", expected, actual)
        if close(actual, expected, rtol=1e-4, atol=1e-6):
            return None
        slips = {
            "over-tokens": _nats(_softmax(z / temperature, 1), 1) / math.log(tokens),
            "nats": _nats(weights),
            "wrong-logarithm": _nats(weights) / math.log(tokens),
            "no-temperature": _nats(_softmax(z)) / math.log(sources),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-4)), "evenness-off")
        return wrong(key, expected, actual)


class Evenness(_Evenness):
    name = "gate/evenness"

    def cases(self, rng):
        yield self._case(rng, (2, 5, 3), 2.0)
        yield self._case(rng, (3, 6, 4), 3.0)


class OneTakesAll(_Evenness):
    name = "gate/one-takes-all"

    def cases(self, rng):
        for even in (2, 3):
            logits = np.zeros((2, 5, 3))
            for row, token in np.ndindex(2, 5):
                if token >= even:
                    logits[row, token, rng.integers(3)] = 300.0
            yield {"logits": logits, "temperature": 1.0}
