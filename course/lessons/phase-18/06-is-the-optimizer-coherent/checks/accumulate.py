"""Checks of `accumulate`: micro-batches that equal the big batch."""

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong
from course.kept import Kept
from minigpt.data.batches import Batch
from minigpt.training.loss import cross_entropy


class Rows(Kept):
    """The table of a bigram model, and how many rows of a batch wait for their gradient."""

    served = ("logits", "gradient")

    def __init__(self, table):
        self.table, self.waiting, self.held, self.most, self.calls = np.array(table), {}, 0, 0, 0

    def logits(self, inputs, wait):
        """The number of this call, and the logits for these tokens (B, T), kept in mind if `wait`."""
        self.calls += 1
        if wait:
            self.waiting[self.calls] = inputs
            self.held += len(inputs)
            self.most = max(self.most, self.held)
        return [self.calls, self.table[inputs]]

    def gradient(self, call, gradient):
        """The table's gradient from that of the logits of a call, whose rows are then let go."""
        inputs = self.waiting.pop(call)
        self.held -= len(inputs)
        found = np.zeros_like(self.table)
        np.add.at(found, inputs, gradient)
        return found


class Lookup(torch.autograd.Function):
    """Logits from rows that are elsewhere."""

    @staticmethod
    def forward(ctx, table, inputs, rows, wait):
        ctx.rows = rows
        ctx.call, logits = rows.logits(inputs.numpy(), wait)
        return torch.from_numpy(logits)

    @staticmethod
    def backward(ctx, gradient):
        found = ctx.rows.gradient(ctx.call, gradient.contiguous().numpy())
        return torch.from_numpy(found), None, None, None


class Watched(nn.Module):
    """A bigram model: a table of logits for the next token. The table and what it counts are in `rows`.

    Its parameter only collects the gradient: nobody can have logits of this model without asking for them.
    """

    def __init__(self, rows):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(rows.table.shape, dtype=torch.float64))
        self.rows = rows

    def forward(self, inputs):
        wait = torch.is_grad_enabled() and self.table.requires_grad
        return Lookup.apply(self.table, inputs, self.rows, wait)  # (B, T, V)


def _micro_batches(rng, lengths, columns=6, vocabulary=5):
    """k micro-batches of 3 rows; of micro-batch i the first lengths[i] targets of each row count."""
    shape = (len(lengths), 3, columns)
    mask = np.broadcast_to(np.arange(columns) < np.array(lengths)[:, None, None], shape)
    return {
        "table": rng.normal(0, 1, (vocabulary, vocabulary)),
        "inputs": rng.integers(0, vocabulary, shape),
        "targets": rng.integers(0, vocabulary, shape),
        "mask": mask.copy(),
        "k": len(lengths),
    }


def _by_hand(case):
    """Return, a row each micro-batch: sum of losses, that sum's gradient, number of counted targets."""
    table, sums, gradients, counts = case["table"], [], [], []
    log_p = table - np.log(np.exp(table).sum(1, keepdims=True))
    for inputs, targets, mask in zip(case["inputs"], case["targets"], case["mask"], strict=True):
        gradient, x, y = np.zeros_like(table), inputs[mask], targets[mask]
        np.add.at(gradient, x, np.exp(log_p[x]))
        np.add.at(gradient, (x, y), -1.0)
        sums.append(-log_p[x, y].sum())
        gradients.append(gradient)
        counts.append(int(mask.sum()))
    return np.array(sums), np.array(gradients), np.array(counts)


class _Accumulate(Check):
    answer = "accumulate"

    def probe(self, answer, case):
        model = Watched(rows := Rows(case["table"]))
        names = ("inputs", "targets", "mask")
        batches = [Batch(*(torch.tensor(case[name][i]) for name in names)) for i in range(case["k"])]
        value = answer(model, cross_entropy, batches)
        gradient = model.table.grad
        return self._found(value, rows, None if gradient is None else array(gradient, case["table"].shape))

    allow_nonfinite = True

    def _found(self, value, rows, gradient):
        return {"gradient": gradient}

    def judge(self, case, output):
        gradient = output["gradient"]
        if not case["mask"].any():
            nothing = gradient is None or not np.any(gradient)
            return None if nothing else wrong("empty-divides", 0.0, float(np.linalg.norm(gradient)))
        if gradient is None:
            return wrong("no-gradient")
        sums, parts, counts = _by_hand(case)
        k, total, safe = case["k"], counts.sum(), np.maximum(counts, 1)[:, None, None]
        right = parts.sum(0) / total
        if close(gradient, right):
            return None
        means = parts / safe
        slips = {
            "sum-of-means": means.sum(0),
            "mean-of-means": means.mean(0),
            "divided-twice": right / k,
            "nothing-divided": parts.sum(0),
            "padding-divides": parts.sum(0) / case["mask"].size,
            "last-alone": means[-1],
            "last-alone-divided": means[-1] / k,
            "last-alone-weighed": parts[-1] / total,
        }
        key = next((key for key, slip in slips.items() if close(gradient, slip)), None)
        norm, expected = float(np.linalg.norm(gradient)), float(np.linalg.norm(right))
        key = "last-alone" if key and key.startswith("last-alone") else key
        return wrong(key or "gradient-off", expected, norm, ratio=round(norm / expected, 3))


class Equal(_Accumulate):
    name = "accumulate/equal"

    def cases(self, rng):
        yield _micro_batches(rng, [6] * int(rng.integers(3, 6)))
        yield _micro_batches(rng, [6])


class Unequal(_Accumulate):
    name = "accumulate/unequal"

    def cases(self, rng):
        yield _micro_batches(rng, [*rng.permutation([1, 2, 4, 6]).tolist()])
        yield _micro_batches(rng, [5, 0, 2])  # nothing counts in the second one
        yield _micro_batches(rng, [0, 0])  # nor anywhere
        single = _micro_batches(rng, [1, 0])
        single["mask"][0, 1:] = False  # one target in all
        yield single


class Loss(_Accumulate):
    name = "accumulate/loss"

    def cases(self, rng):
        yield _micro_batches(rng, [6, 6, 6])
        yield _micro_batches(rng, [0, 0])
        yield _micro_batches(rng, [*rng.permutation([1, 2, 4, 6]).tolist()])

    def _found(self, value, rows, gradient):
        return {"value": number(value)}

    def judge(self, case, output):
        sums, _, counts = _by_hand(case)
        means, actual = sums / np.maximum(counts, 1), output["value"]
        if not counts.any():
            return None if close(actual, 0.0) else wrong("empty-divides", 0.0, actual)
        right = float(sums.sum() / counts.sum())
        if close(actual, right):
            return None
        slips = {
            "loss-mean-of-means": means.mean(),
            "loss-sum": means.sum(),
            "loss-last": means[-1],
            "loss-divided": right / case["k"],
            "loss-total": sums.sum(),
        }
        slips["loss-last-share"] = sums[-1] / counts.sum()
        key = next((key for key, slip in slips.items() if close(actual, slip)), "loss-off")
        return wrong("loss-last" if key == "loss-last-share" else key, right, actual)


class Memory(_Accumulate):
    name = "accumulate/memory"

    def cases(self, rng):
        yield _micro_batches(rng, [6, 3, 6, 5])

    def _found(self, value, rows, gradient):
        return {"most": rows.most, "held": rows.held}

    def judge(self, case, output):
        rows = case["inputs"].shape[1]
        if output["most"] == 0 or output["held"] > 0:
            return wrong("no-gradient")
        if output["most"] > rows:
            return wrong("holds-all", rows, output["most"])
        return None
