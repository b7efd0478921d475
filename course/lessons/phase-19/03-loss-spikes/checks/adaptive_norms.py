"""Checks of `adaptive-norms`: a limit that follows the usual norm, and that a burst cannot raise."""

import numpy as np

from course.check import Check, array, close, wrong


def clipped(norms, factor, window, enough, history="clipped", usual=np.median):
    """The norms after clipping, by the rule of the exercise or with one part of it changed."""
    found = []
    for place, norm in enumerate(norms):
        past = (found if history == "clipped" else list(norms[:place]))[-window:]
        limit = factor * usual(past) if place >= enough else np.inf
        found.append(min(norm, limit))
    return found


class _Norms(Check):
    answer = "adaptive_norms"
    allow_nonfinite = True

    def _case(self, rng, steps=60, level=1.0, burst=(), height=20.0, fall=0.0, **rule):
        norms = level * np.exp(-fall * np.arange(steps)) * rng.uniform(0.8, 1.2, steps)
        for place in burst:
            norms[place] *= height
        return {"norms": norms} | {"factor": 2.0, "window": 20, "enough": 8} | rule

    def probe(self, answer, case):
        norms = [float(norm) for norm in case["norms"]]
        rule = [] if case.get("bare") else [case["factor"], case["window"], case["enough"]]
        found = answer(norms, *rule)
        return {"norms": array(found, case["norms"].shape)}

    def judge(self, case, output):
        rule = {key: case[key] for key in ("factor", "window", "enough")}
        right, actual = np.array(clipped(case["norms"], **rule)), output["norms"]
        if close(actual, right, rtol=1e-6):
            return None
        first = int(np.argmax(~np.isclose(actual, right, rtol=1e-6)))
        if case.get("bare"):
            return wrong("defaults-off-here", float(right[first]), float(actual[first]), place=first)
        slips = {
            "nothing-clipped": case["norms"],
            "burst-raises-limit": clipped(case["norms"], **rule, history="raw"),
            "mean-not-median": clipped(case["norms"], **rule, usual=np.mean),
            "whole-run": clipped(case["norms"], **(rule | {"window": len(right)})),
            "clips-too-early": clipped(case["norms"], **(rule | {"enough": 1})),
        }
        if (actual > case["norms"] * (1 + 1e-6)).any():  # clipping never makes a norm longer
            return wrong("limit-not-norm")
        near = (key for key, slip in slips.items() if close(actual, np.array(slip), rtol=1e-6))
        return wrong(next(near, "norm-off"), float(right[first]), float(actual[first]), place=first)


class Start(_Norms):
    name = "adaptive-norms/start"

    def cases(self, rng):
        early = int(rng.integers(3, 7))
        yield self._case(rng, burst=(early, 40))
        yield self._case(rng, burst=(early, 7, 8, 9))
        bare = {"factor": 2.0, "window": 50, "enough": 10, "bare": True}
        yield self._case(rng, steps=90, fall=0.03, burst=(9, 10, 70, 80), height=8.0, **bare)


class Spike(_Norms):
    name = "adaptive-norms/spike"

    def cases(self, rng):
        yield self._case(rng, burst=(int(rng.integers(25, 50)),))
        yield self._case(rng, burst=(int(rng.integers(25, 50)),), level=500.0, factor=3.0)


class Burst(_Norms):
    """Thirty high norms in a row do not become the usual."""

    name = "adaptive-norms/burst"

    def cases(self, rng):
        yield self._case(rng, burst=range(25, 55), factor=1.1)
        yield self._case(rng, burst=range(22, 58), window=10, height=50.0, factor=1.05)


class Follows(_Norms):
    """The limit follows norms that fall slowly."""

    name = "adaptive-norms/follows"

    def cases(self, rng):
        yield self._case(rng, steps=80, fall=0.04, burst=(70,), height=4.0)
        yield self._case(rng, steps=80, fall=0.03, burst=(60,), window=10, height=4.0)
