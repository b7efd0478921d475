"""Checks of `distances`: all pairs of distances, with a gradient that is finite where a distance is 0."""

import numpy as np
import torch

from course.check import Check, array, close, wrong


def _distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def _gradient(points, weights):
    """The gradient of Σ weights · distances; a pair at distance 0 has no part in it."""
    apart = points[:, None] - points[None]
    length = np.linalg.norm(apart, axis=-1, keepdims=True)
    unit = np.divide(apart, length, out=np.zeros_like(apart), where=length > 0)
    return ((weights + weights.T)[..., None] * unit).sum(1)


def _drawn(rng, count=6, scale=1.0, twins=False, far=0.0):
    points = rng.normal(far, scale, (count, 3))
    if twins:
        points[count - 1] = points[1]
    return {"points": points, "weights": rng.uniform(0.5, 1.5, (count, count))}


class _Distances(Check):
    answer = "distances"

    def probe(self, answer, case):
        points = torch.tensor(case["points"], dtype=torch.float64, requires_grad=True)
        found = answer(points)
        return {"distances": array(found, _distances(case["points"]).shape)}

    def judge(self, case, output):
        right, actual = _distances(case["points"]), output["distances"]
        if close(actual, right, rtol=1e-6, atol=1e-12):
            return None
        if close(actual, right**2, rtol=1e-6, atol=1e-12):
            return wrong("squared")
        off = np.abs(np.diag(actual)).max()
        if off > 1e-12:
            return wrong("not-zero", 0.0, float(off))
        return wrong("distance-off", float(right.max()), float(actual.max()))


class Values(_Distances):
    name = "distances/values"

    def cases(self, rng):
        yield _drawn(rng)
        yield _drawn(rng, 2)


class Small(_Distances):
    """What keeps the root from 0 must not show in small distances, nor what is far away from the origin."""

    name = "distances/small"

    def cases(self, rng):
        yield _drawn(rng, scale=1e-5)
        for count in (6, 40):
            yield _drawn(rng, count, scale=1e-3, far=1000.0) | {"far": True}

    def judge(self, case, output):
        fault = super().judge(case, output)
        return wrong("cancelled", fault.expected, fault.actual) if fault and "far" in case else fault


class _OfGradient(_Distances):
    allow_nonfinite = True

    def probe(self, answer, case):
        points = torch.tensor(case["points"], dtype=torch.float64, requires_grad=True)
        found = answer(points)
        if isinstance(found, torch.Tensor) and found.requires_grad:
            (found * torch.tensor(case["weights"])).sum().backward()
        gradient = points.grad
        return {"gradient": None if gradient is None else array(gradient, case["points"].shape)}

    def judge(self, case, output):
        right, actual = _gradient(case["points"], case["weights"]), output["gradient"]
        if actual is None or not np.any(actual):
            return wrong("no-gradient")
        if not np.isfinite(actual).all():
            return wrong(self._not_finite(case))
        if close(actual, right, rtol=1e-5, atol=1e-8):
            return None
        return wrong("gradient-off-here", float(np.linalg.norm(right)), float(np.linalg.norm(actual)))

    def _not_finite(self, case):
        return "gradient-nan"


class Gradient(_OfGradient):
    name = "distances/gradient"

    def cases(self, rng):
        yield _drawn(rng)
        yield _drawn(rng, 3)


class Twins(_OfGradient):
    """Two points in one place: a distance of 0 that is not on the diagonal."""

    name = "distances/twins"

    def cases(self, rng):
        yield _drawn(rng, twins=True)

    def _not_finite(self, case):
        return "twins-nan"
