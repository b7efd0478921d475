"""Checks of `steps-to-target`: a straight line against the sum of the rates."""

import numpy as np

from course.check import Check, wrong


def _reached(x, losses, target):
    slope, start = np.polyfit(x[: len(losses)], losses, 1)
    steps = np.flatnonzero(start + slope * x <= target)
    return int(steps[0]) if len(steps) else None


def _by_sum(losses, rates, target):
    return _reached(np.cumsum(rates) - rates, losses, target)


def _slips(case):
    losses, rates, target = case["losses"], case["rates"], case["target"]
    n, paid = len(losses), np.cumsum(rates) - rates
    kept = np.concatenate([rates[:n], np.full(len(rates) - n, rates[n - 1])])
    ends = (losses[-1] - losses[0]) / (paid[n - 1] - paid[0])
    two_points = np.flatnonzero(losses[0] + ends * paid <= target)
    by_sum = _reached(paid, losses, target)
    return {
        "by-iterations": _reached(np.arange(len(rates), dtype=float), losses, target),
        "paid-too-early": _reached(np.cumsum(rates), losses, target),
        "two-points": int(two_points[0]) if len(two_points) else None,
        "from-now": None if by_sum is None else by_sum - n,
        "one-more": None if by_sum is None else by_sum + 1,
        "by-last-rate": _reached(np.cumsum(kept) - kept, losses, target),
        "last-step-for-never": len(rates) - 1,
        "length-for-never": len(rates),
        "a-single-loss": next((t for t, loss in enumerate(losses) if loss <= target), None),
        "future-alone": n,
    }


class _Target(Check):
    answer = "steps_to_target"
    margin = 0

    def _case(self, rng, rates, seen, at, noise=0.0):
        """Losses on a line, seen for so many steps, with the target between the steps at − 1 and at."""
        paid = np.cumsum(rates) - rates
        start, fall = float(rng.uniform(5, 8)), float(rng.uniform(1, 3))
        line = start - fall * paid / paid[-1]
        if at < len(rates):
            target = (line[at - 1] + line[at]) / 2
        else:
            target = line[-1] - 0.1
        losses = line[:seen] + noise * rng.normal(0, 1, seen)
        if noise:
            losses[0] += 5 * noise
            losses[-1] -= 3 * noise
        return {"losses": losses, "rates": rates, "target": float(target)}

    def contrasts(self, rng, cases):
        for case in cases:
            yield case | {"target": float(case["losses"][0] - 0.01)}

    def probe(self, answer, case):
        found = answer(case["losses"].copy(), case["rates"].copy(), case["target"])
        if found is None:
            return {"step": None}
        try:
            return {"step": int(found), "whole": bool(int(found) == float(found))}
        except (TypeError, ValueError):
            return {"step": -1, "whole": False}

    def judge(self, case, output):
        expected, actual = _by_sum(case["losses"], case["rates"], case["target"]), output["step"]
        if actual is None and expected is None:
            return None
        if actual is not None and not output["whole"]:
            return wrong("not-a-step", expected, actual)
        if actual is not None and expected is not None and abs(actual - expected) <= self.margin:
            return None
        slips = _slips(case)
        if expected is not None:
            slips = {key: slip for key, slip in slips.items() if not key.endswith("for-never")}
        slip = next((key for key, slip in slips.items() if slip == actual), None)
        if actual is None and slip != "by-iterations":
            slip = "gives-up"
        elif expected is None:
            slip = "never-comes"
        return wrong(slip or "step-off", expected, actual)


class Constant(_Target):
    name = "steps-to-target/constant"

    def cases(self, rng):
        for _ in range(2):
            steps = int(rng.integers(80, 160))
            rates = np.full(steps, round(float(rng.uniform(0.001, 0.01)), 4))
            yield self._case(rng, rates, int(rng.integers(15, 30)), int(rng.integers(45, 75)))
        yield self._case(rng, rates, 30, int(rng.integers(12, 20)))  # it is there already


class WarmUp(_Target):
    name = "steps-to-target/warm-up"

    def cases(self, rng):
        steps = int(rng.integers(120, 200))
        ramp = np.minimum(np.arange(1, steps + 1) / int(rng.integers(50, 80)), 1.0)
        yield self._told_apart(rng, 0.003 * ramp)
        yield self._case(rng, 0.003 * ramp, int(rng.integers(15, 30)), int(rng.integers(85, 110)))
        cosine = 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
        yield self._case(rng, 0.003 * cosine, int(rng.integers(15, 30)), int(rng.integers(60, 100)))

    def _told_apart(self, rng, rates):
        """A case in which each slip about the rates has an answer of its own; most draws are one."""
        while True:
            case = self._case(rng, rates, int(rng.integers(15, 30)), int(rng.integers(35, 48)))
            slips = _slips(case)
            answers = [slips[key] for key in ("by-iterations", "by-last-rate", "paid-too-early")]
            answers.append(_by_sum(case["losses"], case["rates"], case["target"]))
            if len(set(answers)) == len(answers):
                return case


class Noise(_Target):
    name = "steps-to-target/noise"
    margin = 3

    def cases(self, rng):
        for _ in range(2):
            steps = int(rng.integers(150, 200))
            yield self._case(rng, np.full(steps, 0.002), 40, int(rng.integers(90, 130)), noise=0.03)
        case = self._case(rng, np.full(steps, 0.002), 60, 50, noise=0.03)
        case["losses"][int(rng.integers(10, 20))] = case["target"] - 0.03  # one low loss is no line
        yield case


class Never(_Target):
    name = "steps-to-target/never"

    def cases(self, rng):
        steps = int(rng.integers(80, 120))
        yield self._case(rng, np.full(steps, 0.002), 25, steps)
        rising = self._case(rng, np.full(steps, 0.002), 25, 40)
        rising["losses"] = rising["losses"][::-1].copy()
        yield rising | {"target": float(rising["losses"].min() - 0.2)}
        yield self._case(rng, np.full(steps, 0.002), 25, 60)
