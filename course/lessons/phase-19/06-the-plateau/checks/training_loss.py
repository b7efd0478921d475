"""Checks of `training-loss`: targets that are shifted once, by the model."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course.afterwards import in_one_place
from course.check import Check, close, number, wrong


class LikeTheLibrary(nn.Module):
    """A bigram model whose loss shifts the labels itself and leaves out −100."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, input_ids, labels):
        logits = self.table[input_ids]  # (B, T, V)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def _loss(case, offset, last=0, padded=True):
    """Mean loss of scoring position t on token t + offset, without the last targets."""
    tokens, table = case["tokens"], case["table"]
    log_p = table - np.log(np.exp(table).sum(1, keepdims=True))
    end = tokens.shape[1] - last
    x, y = tokens[:, : end - offset].ravel(), tokens[:, offset:end].ravel()
    kept = (y != case["pad"]) | (not padded)
    return float(-log_p[x, y][kept].mean())


class _TrainingLoss(Check):
    answer = "training_loss"

    def _case(self, rng, length=7, pads=0):
        tokens = rng.integers(1, 6, (3, length))
        for row in range(pads):
            tokens[row, length - 1 - row :] = 0
        return {"tokens": tokens, "table": rng.normal(0, 2, (6, 6)), "pad": 0}

    def probe(self, answer, case):
        tokens = torch.tensor(case["tokens"])
        model, call = LikeTheLibrary(case["table"]), in_one_place(answer)
        loss = number(call(model, tokens, case["pad"]))
        try:
            again = number(call(model, tokens, case["pad"]))
        except Exception:  # with a label of −100 among its inputs
            again = None
        return {"loss": loss, "again": again}

    def judge(self, case, output):
        expected, actual = _loss(case, 1), output["loss"]
        if close(actual, expected, rtol=1e-5):
            again = output["again"]
            same = again is not None and close(again, expected, rtol=1e-5)
            return None if same else wrong("tokens-overwritten", expected, again)
        slips = {
            "pad-scored": _loss(case, 1, padded=False),
            "shifted-twice": _loss(case, 2),
            "shifted-twice ": _loss(case, 2, padded=False),
            "last-lost": _loss(case, 1, last=1),
            "last-lost ": _loss(case, 1, last=1, padded=False),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-5)), "loss-off")
        return wrong(key.strip(), expected, actual)


class NextToken(_TrainingLoss):
    name = "training-loss/next-token"

    def cases(self, rng):
        yield self._case(rng, 12)
        yield self._case(rng, 9)


class EveryTarget(_TrainingLoss):
    name = "training-loss/every-target"

    def cases(self, rng):
        yield self._case(rng, 3)
        yield self._case(rng, 4)


class Padding(_TrainingLoss):
    name = "training-loss/padding"

    def cases(self, rng):
        yield self._case(rng, 8, pads=3)
        yield self._case(rng, 8, pads=2) | {"pad": 5}
