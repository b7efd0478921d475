"""Checks of `keep-best`: after training the model has the weights of its best evaluation."""

import numpy as np
import torch
from torch import nn

from course.afterwards import go_on, passes
from course.check import Check, array, close, number, wrong


class Walker(nn.Module):
    """Weights that move along a given path, and a loss for each place; another loss in training mode."""

    def __init__(self, path, losses, noise):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(path[0]))
        self.register_buffer("path", torch.tensor(path), persistent=False)  # (steps + 1, d)
        self.register_buffer("losses", torch.tensor(losses), persistent=False)  # (steps + 1,)
        self.register_buffer("noise", torch.tensor(noise), persistent=False)  # (steps + 1,)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long), persistent=False)

    def forward(self, x):
        """Dropout, by which whoever goes on sees the mode that the model is in."""
        return torch.nn.functional.dropout(x, 0.5, self.training)


def walk(model):
    """Take one step; only in training mode."""
    if not model.training:
        return
    with torch.no_grad():
        model.steps += 1
        model.weight.copy_(model.path[model.steps])


def exam(model):
    """Return the loss of where the weights are; in training mode another one."""
    place = int((model.path - model.weight.detach()).square().sum(1).argmin())
    return float(model.losses[place] + (model.noise[place] if model.training else 0.0))


def _case(rng, losses, noise=None, start=9.0):
    losses = np.array([start, *losses])
    path = rng.normal(0, 1, (len(losses), 3))
    return {"path": path, "losses": losses, "noise": np.zeros(len(losses)) if noise is None else noise}


class _KeepBest(Check):
    answer = "keep_best"

    def probe(self, answer, case):
        model = Walker(case["path"], case["losses"], case["noise"])
        value = answer(model, walk, exam, len(case["losses"]) - 1)
        return {
            "weight": array(model.weight, (3,)),
            "steps": int(model.steps),
            "dropped": self._dropped(answer, model),
            "value": self._value(value),
        }

    def _dropped(self, answer, model):
        return None

    def _value(self, value):
        return 0.0

    def judge(self, case, output):
        last = len(case["losses"]) - 1
        if output["steps"] == 0:
            return wrong("never-trained")
        if output["steps"] < last:
            return wrong("stays-in-eval" if output["steps"] == 1 else "stops-early", last, output["steps"])
        return self._judge(case, output, last)

    def _judge(self, case, output, last):
        after = case["losses"][1:]
        best = 0 if np.isnan(after).all() else 1 + int(np.nanargmin(after))
        at = int(np.square(case["path"] - output["weight"]).sum(1).argmin())
        if not close(case["path"][at], output["weight"]):
            return wrong("weights-of-no-step")
        return None if at == best else self._slip(case, at, best, last)

    def _slip(self, case, at, best, last):
        slip = "the-last-ones" if at == last else "the-first-ones" if at == 0 else "another-step"
        return wrong(slip, best, at)


class Weights(_KeepBest):
    name = "keep-best/weights"

    def cases(self, rng):
        yield _case(rng, [5.0, 3.0, 2.0, 2.5, 4.0])
        yield _case(rng, [5.0, 1.5, 2.0, 2.5, 4.0])
        yield _case(rng, [5.0, 4.0, 3.0, 2.0, 1.5])


class Loss(_KeepBest):
    name = "keep-best/loss"

    def _value(self, value):
        return number(value)

    def cases(self, rng):
        for _ in range(2):
            yield _case(rng, [*rng.permutation([1.0, 2.0, 3.0, 4.0]) + rng.uniform(0, 0.5), 5.0])

    def _judge(self, case, output, last):
        right, value = float(case["losses"][1:].min()), output["value"]
        if close(value, right):
            return None
        return wrong(
            "loss-of-the-last" if close(value, case["losses"][last]) else "loss-of-another", right, value
        )


class Mode(_KeepBest):
    name = "keep-best/mode"

    def cases(self, rng):
        yield _case(rng, [5.0, 3.0, 2.0, 2.5, 4.0], np.array([0.0, 0.0, 0.0, 3.0, 0.0, 0.0]))
        yield _case(rng, [5.0, 1.5, 2.0, 2.5, 4.0], np.array([0.0, 0.0, 3.0, 0.0, 0.0, 0.0]))

    def _dropped(self, answer, model):
        """What the model does afterwards, and what one in training mode does."""
        rows, fresh = np.ones((4, 30), np.float32), torch.nn.Dropout(0.5)
        return [go_on(answer, model, rows, 0)["output"], passes(fresh, rows, 0)["output"]]

    def _judge(self, case, output, last):
        fault = super()._judge(case, output, last)
        return fault or (None if close(*output["dropped"]) else wrong("left-in-eval"))

    def _slip(self, case, at, best, last):
        measured = int((case["losses"] + case["noise"]).argmin())
        return wrong("measured-in-training" if at == measured else "the-last-ones", best, at)


class Edges(_KeepBest):
    name = "keep-best/edges"
    allow_nonfinite = True

    def cases(self, rng):
        yield _case(rng, [np.nan, 5.0, 3.0, 4.0, 6.0])  # the first evaluation is not a number
        yield _case(rng, [5.0, 4.0, np.nan, 3.0, np.nan])
        yield _case(rng, [5.0, 3.0, 3.0, 4.0, 6.0])  # a tie: the earlier one
        yield _case(rng, [5.0, 3.0, 2.0, 4.0, 6.0], start=1.0)  # no training step came before that one
        yield _case(rng, [np.nan] * 4)

    def _value(self, value):
        return None if value is None else number(value)

    def _judge(self, case, output, last):
        fault = super()._judge(case, output, last)
        nothing = np.isnan(case["losses"][1:]).all()
        if fault or not nothing or output["value"] == np.inf:
            return fault
        return wrong("no-lowest-is-infinite", np.inf, output["value"])

    def _slip(self, case, at, best, last):
        if at == 0 and case["losses"][0] == 1.0:
            return wrong("start-counted", best, at)
        if np.isnan(case["losses"][1:]).all():
            return wrong("nothing-was-lowest", best, at)
        if np.isnan(case["losses"][at]):
            return wrong("nan-wins", best, at)
        tie = case["losses"][at] == case["losses"][best]
        return wrong(
            "later-of-equals" if tie else "the-last-ones" if at == last else "another-step", best, at
        )
