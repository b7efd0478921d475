"""Checks of `move`: a scale that follows its target slowly, from a corrected mean."""

import numpy as np
import torch

from course.check import Check, array, close, number, wrong

LOW, HIGH = 0.1, 10.0


def _mean(case):
    return case["mean"] + (case["activity"] - case["mean"]) / case["tau"]


def _corrected(case, steps):
    return _mean(case) / (1 - (1 - 1 / case["tau"]) ** steps)


class _Move(Check):
    answer = "move"

    def _case(self, rng, steps, tau):
        mean = rng.uniform(0.4, 0.9, 5) if steps else np.zeros(5)
        return {
            "scale": rng.uniform(0.7, 1.4, 5),
            "mean": mean * (1 - (1 - 1 / tau) ** steps),
            "steps": steps,
            "activity": rng.uniform(0.4, 0.9, 5),
            "target": round(float(rng.uniform(0.5, 0.8)), 2),
            "tau": tau,
        }

    def probe(self, answer, case):
        scale, mean, activity = (torch.tensor(case[name]) for name in ("scale", "mean", "activity"))
        scale, mean, steps = answer(scale, mean, case["steps"], activity, case["target"], case["tau"])
        return {"scale": array(scale, (5,)), "mean": array(mean, (5,)), "steps": number(steps)}

    def judge(self, case, output):
        mean, steps = _mean(case), case["steps"] + 1
        if not close(output["mean"], mean, rtol=1e-5):
            slips = {
                "mean-backwards": case["activity"] + (case["mean"] - case["activity"]) / case["tau"],
                "corrected-kept": _corrected(case, steps),
            }
            key = next((k for k, slip in slips.items() if close(output["mean"], slip, rtol=1e-5)), "mean-off")
            return wrong(key)
        if output["steps"] != steps:
            return wrong("steps-off", steps, output["steps"])
        return self.judge_scale(case, output["scale"])

    def judge_scale(self, case, actual):
        steps, tau, target = case["steps"] + 1, case["tau"], case["target"]
        mean, corrected = _mean(case), _corrected(case, steps)
        free = case["scale"] * (target / corrected) ** (1 / tau)
        if close(actual, free.clip(LOW, HIGH), rtol=1e-5):
            return None
        slips = {
            "unclamped": free,
            "whole-at-once": case["scale"] * target / corrected,
            "not-corrected": case["scale"] * (target / mean) ** (1 / tau),
            "windup": case["scale"] * target / mean,
            "upside-down": case["scale"] * (corrected / target) ** (1 / tau),
        }
        clipped = {key: slip if key == "unclamped" else slip.clip(LOW, HIGH) for key, slip in slips.items()}
        return wrong(next((k for k, slip in clipped.items() if close(actual, slip, rtol=1e-5)), "scale-off"))


class Mean(_Move):
    name = "move/mean"

    def cases(self, rng):
        yield self._case(rng, 3, 8)
        yield self._case(rng, 5, 20)

    def judge_scale(self, case, actual):
        return None


class Start(_Move):
    name = "move/start"

    def cases(self, rng):
        yield self._case(rng, 0, 10)
        yield self._case(rng, 2, 20)


class Exponent(_Move):
    name = "move/exponent"

    def cases(self, rng):
        yield self._case(rng, 500, 5)
        yield self._case(rng, 700, 8)


class Clamp(_Move):
    name = "move/clamp"

    def cases(self, rng):
        for _ in range(2):
            case = self._case(rng, 500, 5)
            high = rng.permutation([True, True, False, False, bool(rng.integers(2))])
            case["scale"] = np.where(high, 9.9, 0.101)
            case["mean"] = case["activity"] = np.where(high, 0.1, 4.0)
            yield case
