"""Checks of `find-spikes`: steps whose gradient is out of the usual."""

import math

import numpy as np

from course.check import Check, array, close, wrong


def _calm(rng, steps, level=1.0):
    """Norms that scatter by at most a factor of 1.5 around a level that drifts slowly."""
    drift = np.exp(np.linspace(0, rng.uniform(-0.3, 0.3), steps))
    return np.round(level * drift * np.exp(rng.uniform(-0.4, 0.4, steps)), 4)


class _Spikes(Check):
    answer = "find_spikes"

    def probe(self, answer, case):
        return {"steps": array(answer([float(norm) for norm in case["norms"]]))}

    def judge(self, case, output):
        expected, actual = case["spikes"], output["steps"]
        if actual.shape == (len(expected),) and sorted(actual.tolist()) == expected:
            return None
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
            yield {"norms": norms, "spikes": [step]}


class Calm(_Spikes):
    """A healthy run: it starts high and falls to a fiftieth, and nothing in it is a spike."""

    name = "find-spikes/calm"

    def cases(self, rng):
        yield {"norms": _calm(rng, 120), "spikes": []}
        fall = np.exp(-np.linspace(0, 4, 120))
        yield {"norms": np.round(float(rng.uniform(5, 8)) * fall * _calm(rng, 120), 4), "spikes": []}

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
        yield {"norms": norms, "spikes": [step, later]}


class NotFinite(_Spikes):
    name = "find-spikes/nan"
    second = "nan-poisons"

    def cases(self, rng):
        for poison in (math.nan, math.inf):
            norms, step = _calm(rng, 80), int(rng.integers(30, 50))
            later = step + int(rng.integers(4, 15))
            norms[step] = poison
            norms[later] *= 30
            yield {"norms": norms, "spikes": [step, later]}

    def _slip(self, expected, found):
        return super()._slip(expected, found) if expected[0] in found else "nan-missed"
