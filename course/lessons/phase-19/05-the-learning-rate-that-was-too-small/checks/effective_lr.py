"""Checks of `effective-lr`: the learning rate of one AdamW step, from the weights."""

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, close, number, wrong


def _direction(case, corrected=(True, True), decay=True, eps="eps"):
    t = case["t"]
    m = case["m"] / (1 - case["beta1"] ** t if corrected[0] else 1)
    v = case["v"] / (1 - case["beta2"] ** t if corrected[1] else 1)
    return m / (np.sqrt(v) + case.get(eps, 0.0)) + (case["weight_decay"] * case["before"] if decay else 0.0)


def _fit(moved, direction):
    return float((moved * direction).sum() / (direction * direction).sum())


class _Effective(Check):
    answer = "effective_lr"

    def _case(self, rng, t, weight_decay=0.0, eps=1e-8, shape=(5, 4), still=False, untouched=False):
        lr = round(float(10 ** rng.uniform(-4, -1)), 6)
        case = {"t": t, "lr": 0.0 if still else lr, "beta1": 0.8, "beta2": 0.95, "eps": eps}
        gradient = rng.normal(0, 1, shape)
        case["before"] = rng.normal(0, 1, shape)
        case["m"] = (1 - 0.8**t) * gradient
        case["v"] = (1 - 0.95**t) * gradient**2 * rng.uniform(1, 3, shape)
        if t == 1:
            case["v"] = 0.05 * gradient**2
        if untouched:  # no gradient ever reached it
            case["m"], case["v"] = np.zeros(shape), np.zeros(shape)
        case["weight_decay"] = weight_decay
        case["after"] = case["before"] - case["lr"] * _direction(case)
        case["label"] = float(rng.uniform(2, 9)) * lr  # what the scheduler has written since
        return case

    def probe(self, answer, case):
        tensors = {name: torch.tensor(case[name]) for name in ("before", "after", "m", "v")}
        state = {"step": torch.tensor(float(case["t"])), "exp_avg": tensors["m"], "exp_avg_sq": tensors["v"]}
        group = {"lr": case["label"], "betas": (case["beta1"], case["beta2"])}
        group |= {"eps": case["eps"], "weight_decay": case["weight_decay"]}
        call = in_one_place(answer)  # what it does to the optimizer's state is there for the next call
        given = tensors["before"], tensors["after"], state, group
        return {name: number(call(*given)) for name in ("lr", "again")}

    def judge(self, case, output):
        actual, expected = output["lr"], case["lr"]
        if close(actual, expected, rtol=1e-4, atol=1e-12):
            same = close(output["again"], actual, rtol=1e-4, atol=1e-12)
            return None if same else wrong("state-overwritten", actual, output["again"])
        if close(actual, case["label"], rtol=1e-4):
            return wrong("reads-the-label", expected, actual)
        if close(actual, -expected, rtol=1e-4):
            return wrong("sign", expected, actual)
        moved = case["before"] - case["after"]
        if not _direction(case).any():
            return wrong("rate-off", expected, actual)
        slips = {
            "size-of-the-move": float(np.abs(moved).mean()),
            "decay-forgotten": _fit(moved, _direction(case, decay=False)),
            "not-corrected": _fit(moved, _direction(case, corrected=(False, False))),
            "m-not-corrected": _fit(moved, _direction(case, corrected=(False, True))),
            "v-not-corrected": _fit(moved, _direction(case, corrected=(True, False))),
            "eps-forgotten": _fit(moved, _direction(case, eps="none")),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-4)), "rate-off")
        return wrong(key, expected, actual)


class First(_Effective):
    name = "effective-lr/first"

    def cases(self, rng):
        for _ in range(2):
            yield self._case(rng, 1)


class Later(_Effective):
    name = "effective-lr/later"

    def cases(self, rng):
        yield self._case(rng, int(rng.integers(3, 9)))
        yield self._case(rng, int(rng.integers(3, 9)), eps=0.3)


class Decay(_Effective):
    name = "effective-lr/decay"

    def cases(self, rng):
        yield self._case(rng, int(rng.integers(3, 9)), weight_decay=float(rng.uniform(0.5, 1.5)))
        yield self._case(rng, 200, weight_decay=float(rng.uniform(0.5, 1.5)))


class Still(_Effective):
    name = "effective-lr/still"

    def cases(self, rng):
        yield self._case(rng, 4, weight_decay=0.5, still=True)
        yield self._case(rng, 4, weight_decay=0.5)
        yield self._case(rng, 4, still=True, untouched=True)
