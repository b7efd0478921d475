"""Checks of `train_step`: one update from several micro-batches, equal to that of the big batch."""

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong

RATE = 0.5


class Bigram(nn.Module):
    """A table of logits for the next token; called as nanoGPT's model is: it returns logits and loss."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, inputs, targets):
        logits = self.table[inputs]  # (B, T, V)
        return logits, nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _draw(rng, k, clip=100.0, stale=0.0, vocabulary=5):
    shape = (k, 3, 4)
    return {
        "table": rng.normal(0, 1, (vocabulary, vocabulary)),
        "stale": stale * rng.normal(0, 1, (vocabulary, vocabulary)),
        "inputs": rng.integers(0, vocabulary, shape),
        "targets": rng.integers(0, vocabulary, shape),
        "clip": clip,
        "k": k,
    }


def _by_hand(case):
    """Return the mean loss of each micro-batch and its gradient."""
    table, losses, gradients = case["table"], [], []
    log_p = table - np.log(np.exp(table).sum(1, keepdims=True))
    for inputs, targets in zip(case["inputs"], case["targets"], strict=True):
        x, y = inputs.ravel(), targets.ravel()
        gradient = np.zeros_like(table)
        np.add.at(gradient, x, np.exp(log_p[x]))
        np.add.at(gradient, (x, y), -1.0)
        losses.append(-log_p[x, y].mean())
        gradients.append(gradient / len(x))
    return np.array(losses), np.array(gradients)


def _cut(gradient, limit):
    return gradient * min(1.0, limit / np.linalg.norm(gradient))


class _Step(Check):
    answer = "train_step"

    def probe(self, answer, case):
        model = Bigram(case["table"])
        if case["stale"].any():
            model.table.grad = torch.tensor(case["stale"])
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        pairs = zip(torch.tensor(case["inputs"]), torch.tensor(case["targets"]), strict=True)
        value = answer(model, optimizer, list(pairs), case["clip"])
        return self._found(value, array(model.table, case["table"].shape))

    def _found(self, value, table):
        return {"table": table}

    def judge(self, case, output):
        parts = _by_hand(case)[1]
        k, limit = case["k"], case["clip"]
        moved = (case["table"] - output["table"]) / RATE
        right = _cut(parts.mean(0), limit)
        if close(moved, right):
            return None
        slips = {
            "not-stepped": np.zeros_like(right),
            "last-alone": _cut(parts[-1], limit),
            "last-share": _cut(parts[-1] / k, limit),
            "sum-of-means": _cut(parts.sum(0), limit),
            "divided-twice": _cut(parts.mean(0) / k, limit),
            "stale-kept": _cut(parts.mean(0) + case["stale"], limit),
            "not-clipped": parts.mean(0),
        }
        key = next((key for key, slip in slips.items() if close(moved, slip)), "update-off")
        key = "last-alone" if key == "last-share" else key
        return wrong(key, float(np.linalg.norm(right)), float(np.linalg.norm(moved)))


class Whole(_Step):
    name = "train-step/whole"

    def cases(self, rng):
        yield _draw(rng, 4)
        yield _draw(rng, 3)
        yield _draw(rng, 1)


class Fresh(_Step):
    name = "train-step/fresh"

    def cases(self, rng):
        yield _draw(rng, 2, stale=1.0)
        yield _draw(rng, 3, stale=2.0)


class Clip(_Step):
    name = "train-step/clip"

    def cases(self, rng):
        yield _draw(rng, 3, clip=0.01)
        yield _draw(rng, 3, clip=0.02)


class Loss(_Step):
    name = "train-step/loss"

    def cases(self, rng):
        yield _draw(rng, 4)
        yield _draw(rng, 3)

    def _found(self, value, table):
        return {"value": number(value)}

    def judge(self, case, output):
        losses, actual = _by_hand(case)[0], output["value"]
        if close(actual, losses.mean()):
            return None
        slips = {
            "loss-sum": losses.sum(),
            "loss-last": losses[-1],
            "loss-share": losses[-1] / case["k"],
            "loss-twice": losses.mean() / case["k"],
        }
        key = next((key for key, slip in slips.items() if close(actual, slip)), "loss-off")
        return wrong("loss-last" if key == "loss-share" else key, float(losses.mean()), actual)
