"""Checks of `train-with-rollback`: after a spike the run is as if it had never seen what it skips."""

import copy

import numpy as np
import torch

from course.afterwards import go_on
from course.check import Check, array, close, wrong

ROWS, INPUTS = 4, 5


class TooHigh:
    """Whether a loss is above a limit."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, loss):
        return not loss < self.limit


def mean_square(model, batch):
    """The loss of a linear model."""
    inputs, targets = batch
    return (model(inputs)[:, 0] - targets).square().mean()


def _start(case):
    model = torch.nn.Linear(INPUTS, 1, bias=False)
    model.weight.data = torch.tensor(case["weight"], dtype=torch.float32)
    return model, torch.optim.Adam(model.parameters(), lr=0.05)


def _batches(case):
    inputs = torch.tensor(case["inputs"], dtype=torch.float32)
    return list(zip(inputs, torch.tensor(case["targets"], dtype=torch.float32), strict=True))


def _reference(case, weights=True, moments=True, once=False, alone=False, by_batch=False):
    """The kept batches and the last weights, by the rule or with one part of it left out."""
    model, optimizer = _start(case)
    is_spike, kept, snapshot = TooHigh(case["limit"]), [], None
    for index, batch in enumerate(_batches(case)):
        if (index if by_batch else len(kept)) % case["every"] == 0 and not (once and snapshot):
            snapshot = copy.deepcopy((model.state_dict(), optimizer.state_dict(), kept))
        loss = mean_square(model, batch)
        if is_spike(loss.item()):
            if alone:
                continue
            before = copy.deepcopy(snapshot)
            if weights:
                model.load_state_dict(before[0])
            if moments:
                optimizer.load_state_dict(before[1])
            kept = before[2]
            continue
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        kept.append(index)
    return kept, model.weight.detach().double().numpy()


class _Rollback(Check):
    answer = "train_with_rollback"

    def _case(self, rng, bad=(), drift=(), steps=12, every=4):
        weight = np.round(rng.standard_normal((1, INPUTS)), 3)
        goal = weight[0] + np.round(rng.uniform(0.3, 0.6, INPUTS), 3)
        inputs = np.round(rng.standard_normal((steps, ROWS, INPUTS)), 3)
        targets = inputs @ goal + 0.05 * rng.standard_normal((steps, ROWS))
        for index in bad:
            targets[index] += 50.0
        for index in drift:  # below the limit: it trains, and pulls the weights away
            targets[index] += 3.0
        return {
            "weight": weight,
            "inputs": inputs,
            "targets": np.round(targets, 3),
            "limit": 400.0,
            "every": every,
        }

    def probe(self, answer, case):
        model, optimizer = _start(case)
        kept = answer(model, optimizer, mean_square, _batches(case), TooHigh(case["limit"]), case["every"])
        return {
            "kept": None if kept is None else array(kept).ravel(),
            "weight": array(model.weight, (1, INPUTS)),
        } | self._left(answer, model, case)

    def _left(self, answer, model, case):
        return {}

    def judge(self, case, output):
        kept, weight = _reference(case)
        if not close(output["weight"], weight, rtol=1e-4, atol=1e-6):
            return self._slip(case, output["weight"], weight)
        return None

    def _slip(self, case, actual, right):
        slips = {
            "weights-not-back": _reference(case, weights=False),
            "moments-not-back": _reference(case, moments=False),
            "only-the-batch": _reference(case, alone=True),
            "oldest-snapshot": _reference(case, once=True),
            "every-by-batch": _reference(case, by_batch=True),
        }
        near = (key for key, (_, slip) in slips.items() if close(actual, slip, rtol=1e-4, atol=1e-6))
        return wrong(next(near, "weights-off"), float(np.abs(right).sum()), float(np.abs(actual).sum()))


class Calm(_Rollback):
    """Without a spike it is an ordinary run."""

    name = "train-with-rollback/calm"

    def cases(self, rng):
        yield self._case(rng)
        yield self._case(rng, steps=5, every=2)

    def _left(self, answer, model, case):
        """The gradient after one pass more, with what was there before; and that of a model without any."""
        fresh, rows = copy.deepcopy(model), case["inputs"][0].astype(np.float32)
        fresh.zero_grad()
        pairs = (("left", answer, model), ("right", None, fresh))
        return {key: go_on(who, which, rows, 0)["gradient"] for key, who, which in pairs}

    def judge(self, case, output):
        fault = super().judge(case, output)
        if fault:
            return fault
        left, right = output["left"].get("weight"), output["right"]["weight"]
        return None if left is not None and close(left, right, rtol=1e-3) else wrong("gradient-left")


class Once(_Rollback):
    """One spike, some steps after the snapshot."""

    name = "train-with-rollback/once"

    def cases(self, rng):
        bad = int(rng.choice([5, 6, 7]))
        yield self._case(rng, bad=(bad,), drift=(bad - 1,))
        yield self._case(rng, bad=(bad + 4,), drift=(bad + 3,))


class Twice(_Rollback):
    """Two spikes or three, each some steps after the one before."""

    name = "train-with-rollback/twice"

    def cases(self, rng):
        yield self._case(rng, bad=(6, 9), drift=(5, 8))
        yield self._case(rng, bad=(2, 5, 8), steps=14, every=5)


class AtOnce(_Rollback):
    """The first batch is bad, or several in a row."""

    name = "train-with-rollback/at-once"

    def cases(self, rng):
        yield self._case(rng, bad=(0,))
        yield self._case(rng, bad=(6, 7, 8), drift=(5,))


class Kept(_Rollback):
    """It names the batches whose updates are left."""

    name = "train-with-rollback/kept"

    def cases(self, rng):
        yield self._case(rng, bad=(int(rng.choice([5, 6, 7])),))
        yield self._case(rng, bad=(2, 9), every=3)

    def judge(self, case, output):
        right, actual = _reference(case)[0], output["kept"]
        if actual is None:
            return wrong("check.returned-none", name=self.answer)
        found = [int(index) for index in actual]
        if found == right:
            return None
        if set(found) > set(right):
            return wrong("kept-too-many", str(right), str(found))
        return wrong("kept-off", str(right), str(found))
