"""Checks of `clip-gradients`: clipping by the global norm."""

import math

import numpy as np
import torch

from course.check import Check, array, close, number, wrong

from .shared import draw_tensors, norm_of


class _Clip(Check):
    """Parameters with the case's gradients; what they are afterwards, and what the answer returned."""

    answer = "clip_gradients"
    needs_return = False

    def probe(self, answer, case):
        parameters = [torch.nn.Parameter(torch.zeros(np.shape(part))) for part in case["gradients"]]
        for parameter, part in zip(parameters, case["gradients"], strict=True):
            parameter.grad = torch.tensor(part, dtype=torch.float32)
        parameters.append(torch.nn.Parameter(torch.zeros(3)))  # it took no part: its gradient is None
        given = (parameter for parameter in parameters) if case.get("lazy") else parameters
        returned = answer(given, case["max_norm"])
        after = [array(parameter.grad) for parameter in parameters[:-1]]
        changed = not all(
            close(a, b, rtol=1e-3, atol=1e-9) for a, b in zip(after, case["gradients"], strict=True)
        )
        returned = number(returned) if self.needs_return else None
        return {"after": after, "returned": returned, "changed": changed}


def _how_clipped(before, after, max_norm):
    """The misconception behind gradients that should have a norm of `max_norm` now, or None."""
    norm = norm_of(before)
    if all(close(a, b * max_norm / norm, rtol=1e-3) for a, b in zip(after, before, strict=True)):
        return None
    slips = {
        "not-in-place": before,
        "each-alone": [part * min(1.0, max_norm / norm_of([part])) for part in before],
        "each-to-the-limit": [part * max_norm / norm_of([part]) for part in before],
        "by-value": [np.clip(part, -max_norm, max_norm) for part in before],
        "to-length-one": [part / norm for part in before],
        "turned-round": [part * norm / max_norm for part in before],
    }
    for key, slip in slips.items():
        if all(close(a, b, rtol=1e-3) for a, b in zip(after, slip, strict=True)):
            return key
    return "clipped-off"


class Long(_Clip):
    name = "clip-gradients/long"

    def cases(self, rng):
        for max_norm in (0.5, 2.0):
            yield {"gradients": draw_tensors(rng, 4), "max_norm": max_norm}
        gradients = [
            0.001 * part for part in draw_tensors(rng, 4)
        ]  # so small that only 1e-6 is small beside it
        yield {"gradients": gradients, "max_norm": 0.3 * norm_of(gradients)}
        gradients = draw_tensors(rng, 4)
        yield {"gradients": gradients, "max_norm": round(0.9 * norm_of(gradients), 3), "near": True}

    def judge(self, case, output):
        if case.get("near") and not output["changed"]:
            return wrong("a-little-long", case["max_norm"], norm_of(output["after"]))
        key = _how_clipped(case["gradients"], output["after"], case["max_norm"])
        return key and wrong(key, case["max_norm"], norm_of(output["after"]))


class Short(_Clip):
    name = "clip-gradients/short"

    def cases(self, rng):
        gradients = draw_tensors(rng, 4)
        yield {"gradients": gradients, "max_norm": round(3 * norm_of(gradients), 3)}
        yield {"gradients": gradients, "max_norm": round(1.1 * norm_of(gradients), 3)}
        yield {"gradients": [0.001 * part for part in gradients], "max_norm": 1.0}

    def contrasts(self, rng, cases):
        yield cases[0] | {"max_norm": 0.01}

    def gist(self, output):
        return output["changed"]

    def judge(self, case, output):
        before, after = case["gradients"], output["after"]
        if all(close(a, b, rtol=1e-3, atol=1e-9) for a, b in zip(after, before, strict=True)):
            return None
        norm = norm_of(after)
        return wrong("scaled-up" if norm > norm_of(before) else "shortened", norm_of(before), norm)


class Zero(_Clip):
    name = "clip-gradients/zero"
    allow_nonfinite = True

    def cases(self, rng):
        yield {"gradients": [0 * part for part in draw_tensors(rng, 3)], "max_norm": 1.0}

    def contrasts(self, rng, cases):
        yield {"gradients": draw_tensors(rng, 3), "max_norm": 0.01}

    def gist(self, output):
        return output["changed"]

    def judge(self, case, output):
        norm = norm_of(output["after"])
        if norm == 0:
            return None
        return wrong("zero-gives-nan" if math.isnan(norm) else "zero-moved", 0.0, norm)


class Lazy(_Clip):
    name = "clip-gradients/generator"

    def cases(self, rng):
        yield {"gradients": draw_tensors(rng, 4), "max_norm": 1.0, "lazy": True}

    def judge(self, case, output):
        norm = norm_of(output["after"])
        untouched = close(norm, norm_of(case["gradients"]), rtol=1e-3)  # the rest is the other checks' affair
        return wrong("generator-used-up", case["max_norm"], norm) if untouched else None


class Returned(_Clip):
    name = "clip-gradients/returns"
    needs_return = True

    def cases(self, rng):
        gradients = draw_tensors(rng, 4)
        yield {"gradients": gradients, "max_norm": 1.5}
        yield {"gradients": [0.01 * part for part in gradients], "max_norm": 4.0}

    def judge(self, case, output):
        norm, actual, limit = norm_of(case["gradients"]), output["returned"], case["max_norm"]
        if close(actual, norm, rtol=1e-3):
            return None
        after = norm > limit and close(actual, limit, rtol=1e-3)
        return wrong("norm-after" if after else "not-the-norm", norm, actual)
