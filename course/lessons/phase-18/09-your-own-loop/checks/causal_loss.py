"""Checks of `causal_loss`: labels as Hugging Face passes them, not shifted, −100 where nothing counts."""

import numpy as np
import torch

from course.check import Check, close, number, wrong


def _draw(rng, lengths, columns=7, vocabulary=6):
    """One row for each length; the labels from that place on are −100."""
    shape = (len(lengths), columns)
    labels = rng.integers(0, vocabulary, shape)
    labels[np.arange(columns) >= np.array(lengths)[:, None]] = -100
    return {"logits": rng.normal(0, 1, (*shape, vocabulary)), "labels": labels}


def _losses(logits, labels):
    """Return −log p of every label, 0 where it is −100."""
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(log_p, np.maximum(labels, 0)[..., None], -1)[..., 0]
    return np.where(labels == -100, 0.0, -picked)


def _mean(logits, labels):
    return _losses(logits, labels).sum() / max((labels != -100).sum(), 1)


class _Loss(Check):
    answer = "causal_loss"
    allow_nonfinite = True

    def probe(self, answer, case):
        return {"value": number(answer(torch.tensor(case["logits"]), torch.tensor(case["labels"])))}

    def judge(self, case, output):
        logits, labels, actual = case["logits"], case["labels"], output["value"]
        right = float(_mean(logits[:, :-1], labels[:, 1:]))
        if close(actual, right):
            return None
        if not np.isfinite(actual):
            return wrong("empty-divides" if right == 0 else "not-finite", right, actual)
        every = _losses(logits[:, :-1], labels[:, 1:])
        slips = {
            "shifted-twice": _mean(logits[:, :-2], labels[:, 2:]),
            "not-shifted": _mean(logits, labels),
            "backwards": _mean(logits[:, 1:], labels[:, :-1]),
            "ignored-divide": every.mean(),
            "summed": every.sum(),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip)), "causal-off")
        return wrong(key, right, actual)


class Shift(_Loss):
    name = "causal-loss/shift"

    def cases(self, rng):
        yield _draw(rng, [7, 7, 7])
        yield _draw(rng, [7, 7, 7])


class Ignored(_Loss):
    name = "causal-loss/ignored"

    def cases(self, rng):
        yield _draw(rng, [*rng.permutation([2, 4, 7]).tolist()])
        yield _draw(rng, [2, 0, 0])  # one label in all
        yield _draw(rng, [*rng.permutation([3, 5, 6]).tolist()])


class Empty(_Loss):
    name = "causal-loss/empty"

    def cases(self, rng):
        yield _draw(rng, [1, 0, 1])

    def contrasts(self, rng, cases):
        yield _draw(rng, [7, 6, 5])
