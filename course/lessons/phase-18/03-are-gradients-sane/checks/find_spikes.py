"""Checks of `find-spikes`: steps whose gradient is out of the usual."""

import math

import numpy as np

from course.afterwards import in_one_place
from course.check import Check, array, close, wrong


def _calm(rng, steps, level=1.0):
    """Norms that scatter by at most a factor of 1.5 around a level that drifts slowly."""
    drift = np.exp(np.linspace(0, rng.uniform(-0.3, 0.3), steps))
    return np.round(level * drift * np.exp(rng.uniform(-0.4, 0.4, steps)), 4)


def _case(norms, spikes, factor=None, window=None):
    return {"norms": norms, "spikes": spikes, "factor": factor, "window": window}


class _Spikes(Check):
    answer = "find_spikes"

    def contrasts(self, rng, cases):
        for steps in sorted({len(case["norms"]) for case in cases}):
            norms = _calm(rng, steps)
            norms[steps - 3] *= 400
            yield {"norms": norms, "factor": None, "window": None}

    def probe(self, answer, case):
        norms = [float(norm) for norm in case["norms"]]
        settings = {name: case[name] for name in ("factor", "window") if case[name] is not None}
        call = in_one_place(answer)
        return {name: array(call(norms, **settings)) for name in ("steps", "again")}

    def judge(self, case, output):
        expected, actual = case["spikes"], output["steps"]
        if actual.shape == (len(expected),) and sorted(actual.tolist()) == expected:
            same = sorted(output["again"].ravel().tolist()) == expected
            return None if same else wrong("list-overwritten", expected, output["again"])
        if actual.shape == (len(case["norms"]),):
            return wrong("a-flag-a-step", expected, None)
        if actual.ndim == 0:
            return wrong("a-count", expected, float(actual))
        found = sorted(actual.ravel().tolist())
        if expected and found == [step + 1 for step in expected]:
            return wrong("counted-from-one", expected, found)
        norms = [case["norms"][step] for step in expected]
        if expected and close(np.array(found), np.sort(norms)):
            return wrong("norms-not-steps", expected, found)
        if (
            "set" in case
            and set(expected) != set(found)
            and not (case["set"] == "ordinary" and 0 not in found)
        ):
            return wrong(f"{case['set']}-ignored", expected, found)
        return wrong(self._slip(expected, found), expected, found)

    second = "spike-missed"  # what it means that only the first of two spikes was found

    def _slip(self, expected, found):
        if len(expected) == 2 and found == expected[:1]:
            return self.second
        return "spike-missed" if set(expected) - set(found) else "false-alarm"


class One(_Spikes):
    name = "find-spikes/one"

    def cases(self, rng):
        for factor in (9.0, 40.0):
            norms, step = _calm(rng, 80, float(rng.choice([0.3, 2.0]))), int(rng.integers(30, 75))
            norms[step] *= factor
            yield _case(norms, [step])
        for factor, limit in ((9.0, 12.0), (9.0, 6.0), (3.5, 2.5)):
            norms, step = _calm(rng, 80), int(rng.integers(30, 75))
            norms[step] = factor * float(np.median(norms[step - 20 : step]))
            yield _case(norms, [step] if factor > limit else [], factor=limit) | {"set": "factor"}
        norms, step = _calm(rng, 80), int(rng.integers(30, 75))
        norms[step] = 3.5 * float(np.median(norms[step - 20 : step]))
        yield _case(norms, [])
        for start in (4, 5):  # so many ordinary norms, then a large one
            norms = _calm(rng, 30)
            norms[start] *= 30
            yield _case(norms, [start] if start == 5 else []) | {"set": "start"}
        norms = np.exp(-np.arange(60) / 15)  # it falls, so what is usual is near
        step = int(rng.integers(40, 55))
        norms[step] *= 8.0
        yield _case(norms, [step], window=10) | {"set": "window"}
        yield _case(norms, [], window=60) | {"set": "window"}


class Calm(_Spikes):
    """A healthy run: it starts high and falls to a fiftieth, and nothing in it is a spike."""

    name = "find-spikes/calm"

    def cases(self, rng):
        yield _case(_calm(rng, 120), [])
        fall = np.exp(-np.linspace(0, 4, 120))
        yield _case(np.round(float(rng.uniform(5, 8)) * fall * _calm(rng, 120), 4), [])

    def _slip(self, expected, found):
        return "start-is-no-spike" if max(found) < 60 else "noise-is-no-spike"


class Behind(_Spikes):
    """A spike that drags a mean up, and a smaller one within the next twenty steps."""

    name = "find-spikes/behind"
    second = "hides-behind"

    def cases(self, rng):
        norms, step = _calm(rng, 90), int(rng.integers(30, 60))
        later = step + int(rng.integers(4, 15))
        norms[step] *= 300
        norms[later] *= 11
        yield _case(norms, [step, later])
        norms, step = _calm(rng, 90), int(rng.integers(25, 40))
        bad = list(range(step, step + int(rng.integers(24, 30))))  # more than the window has places
        later = bad[-1] + int(rng.integers(8, 16))
        norms[bad] *= 30
        norms[later] *= 11
        yield _case(norms, [*bad, later]) | {"set": "row"}


class NotFinite(_Spikes):
    name = "find-spikes/nan"
    second = "nan-poisons"

    def cases(self, rng):
        for poison in (math.nan, math.inf):
            norms, step = _calm(rng, 80), int(rng.integers(30, 50))
            later = step + int(rng.integers(4, 15))
            norms[step] = poison
            norms[later] *= 30
            yield _case(norms, [step, later])
        norms, step = _calm(rng, 80), int(rng.integers(25, 35))
        bad = list(range(step, step + int(rng.integers(20, 26))))
        norms[bad] = math.nan
        norms[bad[-1] + 1] *= 30
        yield _case(norms, [*bad, bad[-1] + 1]) | {"set": "row"}
        norms = _calm(rng, 40)
        norms[:3] = math.nan
        norms[6] *= 20  # three ordinary norms before it: too few to say what is usual
        yield _case(norms, [0, 1, 2]) | {"set": "ordinary"}

    def _slip(self, expected, found):
        return super()._slip(expected, found) if expected[0] in found else "nan-missed"
