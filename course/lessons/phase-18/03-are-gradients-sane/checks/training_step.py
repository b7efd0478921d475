"""Checks of `training-step`: a training step in the right order."""

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, number, wrong

from .shared import norm_of


class Recorder(torch.optim.SGD):
    """SGD that writes down the gradients it is given."""

    seen = ()

    def step(self, closure=None):
        gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        self.seen = [*self.seen, [None if g is None else array(g) for g in gradients]]
        return super().step(closure)

    def report(self):
        return list(self.seen)

    def accept(self, report):
        self.seen = list(report)


def _drawn(rng, micros):
    """Micro-batches for a linear model with 6 inputs and 4 classes, and its weights."""
    return {
        "weight": np.round(rng.standard_normal((4, 6)), 3),
        "inputs": np.round(3 * rng.standard_normal((micros, 5, 6)), 3),
        "targets": rng.integers(0, 4, (micros, 5)),
    }


def _gradients(case):
    """The gradient of each micro-batch alone, (micros, 4, 6): (softmax − one-hot) · input, averaged."""
    scores = np.exp(case["inputs"] @ case["weight"].T)
    errors = scores / scores.sum(-1, keepdims=True) - np.eye(4)[case["targets"]]
    return np.einsum("mbc,mbi->mci", errors, case["inputs"]) / errors.shape[1]


class _Step(Check):
    answer = "training_step"
    calls = 1
    needs_return = False

    def probe(self, answer, case):
        model = torch.nn.Linear(6, 4, bias=False)
        model.weight.data = torch.tensor(case["weight"], dtype=torch.float32)
        optimizer = Recorder(model.parameters(), lr=case["lr"])
        inputs = torch.tensor(case["inputs"], dtype=torch.float32)
        batches = list(zip(inputs, torch.tensor(case["targets"]), strict=True))
        call = in_one_place(answer)  # a gradient that one call has left is there for the next
        returned = [call(model, optimizer, batches, case["max_norm"]) for _ in range(self.calls)]
        seen = [gradients[0] for gradients in optimizer.seen]
        norm = number(returned[0]) if self.needs_return else None
        return {"steps": seen, "norm": norm}

    def judge(self, case, output):
        steps = output["steps"]
        if len(steps) != self.calls:
            return wrong("steps-per-call", 1, len(steps) / self.calls)
        if any(step is None or not np.any(step) for step in steps):
            return wrong("cleared-too-early")
        return self._judge(case, [np.asarray(step) for step in steps], output)

    def _judge(self, case, steps, output):
        raise NotImplementedError


class Mean(_Step):
    name = "training-step/mean"

    def cases(self, rng):
        yield _drawn(rng, 1) | {"max_norm": 1e6, "lr": 0.0, "micros": 1}
        yield _drawn(rng, 4) | {"max_norm": 1e6, "lr": 0.0, "micros": 4}

    def _judge(self, case, steps, output):
        each, actual = _gradients(case), steps[0]
        if close(actual, each.mean(0), rtol=1e-3, atol=1e-5):
            return None
        slips = {
            "only-the-last": each[-1],
            "only-the-last-and-divided": each[-1] / len(each),
            "only-the-first": each[0],
            "sum-of-micro-batches": each.sum(0),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-3, atol=1e-5)), None)
        return wrong(key or "gradient-off", norm_of([each.mean(0)]), norm_of([actual]))


class Fresh(_Step):
    name = "training-step/fresh"
    calls = 3

    def cases(self, rng):
        yield _drawn(rng, 2) | {"max_norm": 1e6, "lr": 0.0}

    def _judge(self, case, steps, output):
        first, last = norm_of([steps[0]]), norm_of([steps[-1]])
        if close(last, first, rtol=1e-3):
            return None
        return wrong("gradient-carried" if close(last, 3 * first, rtol=1e-3) else "steps-differ", first, last)


class Clipped(_Step):
    name = "training-step/clipped"

    def cases(self, rng):
        yield _drawn(rng, 4) | {"max_norm": 0.05, "lr": 1.0}

    def _judge(self, case, steps, output):
        each, limit, norm = _gradients(case), case["max_norm"], norm_of([steps[0]])
        if norm > 1.01 * limit:
            return wrong("clip-too-late", limit, norm)
        whole = (each.mean(0), each[0], each[-1])  # which micro-batches count is the first check's affair
        if any(close(steps[0], part * limit / norm_of([part]), rtol=1e-2, atol=1e-4) for part in whole):
            return None
        return wrong("clip-each-micro-batch")


class StepReturns(_Step):
    name = "training-step/returns"
    needs_return = True

    def cases(self, rng):
        yield _drawn(rng, 1) | {"max_norm": 0.05, "lr": 0.1}

    def _judge(self, case, steps, output):
        expected, actual = norm_of([_gradients(case)[0]]), output["norm"]
        if close(actual, expected, rtol=1e-3):
            return None
        return wrong("norm-after" if close(actual, 0.05, rtol=1e-2) else "not-the-norm", expected, actual)
