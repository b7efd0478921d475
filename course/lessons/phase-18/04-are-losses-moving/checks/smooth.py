"""Checks of `smooth`: a running mean that neither lags nor looks ahead."""

import numpy as np

from course.afterwards import in_one_place
from course.check import Check, array, close, wrong


class _Smooth(Check):
    answer = "smooth"

    def probe(self, answer, case):
        losses = list(map(float, case["losses"]))
        return {"smooth": array(answer(losses, case["beta"]), shape=(len(losses),))}


def _raw(means, losses):
    """What is wrong with the losses themselves, which have many properties of a mean."""
    return wrong("nothing-smoothed") if close(means, np.asarray(losses)) else None


class Constant(_Smooth):
    name = "smooth/constant"

    def cases(self, rng):
        for beta in (0.9, 0.99):
            loss = round(float(rng.uniform(2, 6)), 3)
            yield {"losses": [loss] * 40, "beta": beta, "loss": loss}
        yield {"losses": np.round(rng.uniform(2, 6, 40), 3), "beta": 0.9, "loss": None}

    def judge(self, case, output):
        actual, loss, beta = output["smooth"], case["loss"], case["beta"]
        if loss is None:
            return _raw(actual, case["losses"])
        if close(actual, np.full(40, loss)):
            return None
        ramp = 1 - beta ** np.arange(1, 41)
        if close(actual, loss * ramp):
            return wrong("starts-at-zero", loss, float(actual[0]))
        if close(actual, loss / ramp):
            return wrong("corrected-for-nothing", loss, float(actual[0]))
        return wrong("constant-moves", loss, float(actual[int(np.abs(actual - loss).argmax())]))


class Jump(_Smooth):
    """Long after the start every way to begin gives the same answer to a jump from one level to another."""

    name = "smooth/jump"

    def cases(self, rng):
        for beta in (0.8, 0.95):
            at = int(30 / (1 - beta))
            high, low = (round(float(level), 2) for level in rng.uniform((5, 1), (7, 3)))
            yield {"losses": [high] * at + [low] * 20, "beta": beta, "at": at, "high": high, "low": low}

    def judge(self, case, output):
        beta, high, low = case["beta"], case["high"], case["low"]
        actual = output["smooth"][case["at"] :]
        steps = np.arange(1, 21)
        expected = low + (high - low) * beta**steps
        if close(actual, expected, rtol=1e-3):
            return None
        where = (float(expected[0]), float(actual[0]))
        if close(actual, low + (high - low) * (1 - beta) ** steps, rtol=1e-3):
            return wrong("beta-swapped", *where)
        if close(actual, np.full(20, low), rtol=1e-3):
            return wrong("nothing-smoothed", *where)
        if close(float(actual[0]), high, rtol=1e-3):
            return wrong("one-behind", *where)
        return wrong("jump-off", *where)


class Past(_Smooth):
    """The same beginning with two different ends; and the same list twice."""

    name = "smooth/past"

    def cases(self, rng):
        yield {"losses": np.round(rng.uniform(2, 6, 60), 3), "beta": 0.9, "end": 40}

    def contrasts(self, rng, cases):
        yield cases[0] | {"losses": np.round(rng.uniform(2, 6, 60), 3)}

    def probe(self, answer, case):
        losses = list(map(float, case["losses"]))
        changed = losses[: case["end"]] + [loss + 5 for loss in losses[case["end"] :]]
        call = in_one_place(answer)  # the second time with the very list that it had before
        outputs = [
            array(smooth(given, case["beta"]), shape=(60,))
            for smooth, given in ((call, losses), (call, losses), (answer, changed))
        ]
        first, again, other = (output[: case["end"]] for output in outputs)
        return {"first": first, "again": again, "second": other}

    def judge(self, case, output):
        if not close(output["first"], output["second"]):
            return wrong("sees-the-future")
        if not close(output["first"], output["again"]):
            return wrong("list-overwritten")
        return _raw(output["first"], case["losses"][: case["end"]])
