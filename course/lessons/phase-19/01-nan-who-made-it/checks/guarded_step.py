"""Checks of `guarded-step`: no update from a window that is not finite, and nothing of it left behind."""

import numpy as np
import torch

from course.afterwards import go_on, in_one_place
from course.check import Check, array, close, wrong

ROWS, INPUTS, OUTPUTS = 5, 6, 4


class Recorder(torch.optim.SGD):
    """SGD that writes down the gradients it is given."""

    seen = ()

    def __getstate__(self):  # an optimizer that is copied leaves behind whatever is not its own
        return super().__getstate__() | {"seen": self.seen}

    def step(self, closure=None):
        gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        self.seen = [*self.seen, [None if g is None else array(g) for g in gradients]]
        return super().step(closure)

    def report(self):
        return list(self.seen)

    def accept(self, report):
        self.seen = [*report]


def mean_length(model, batch):
    """The mean length of the outputs, plus a term that no weight has a part in."""
    inputs, extra = batch
    return model(inputs).square().sum(-1).sqrt().mean() + extra


def _window(rng, micros, fault=""):
    """Micro-batches (micros, rows, inputs), with one row or one extra term spoilt."""
    inputs = np.round(rng.uniform(0.5, 2.0, (micros, ROWS, INPUTS)), 3)
    extra = np.round(rng.uniform(0.0, 1.0, micros), 3)
    micro, row = int(rng.integers(0, micros)), int(rng.integers(0, ROWS))
    if fault == "nan":
        inputs[micro, row, 0] = np.nan
    elif fault == "infinite":
        inputs[micro, row, 0] = np.inf
    elif fault == "zero":  # the root of 0: a finite loss, and a gradient that is not
        inputs[micro, row] = 0.0
    elif fault == "extra":  # an infinite loss whose gradient is finite
        extra[micro] = np.inf
    return {"inputs": inputs, "extra": extra, "micro": micro, "fault": fault}


def _gradients(weight, window):
    """The gradient of each micro-batch alone, (micros, outputs, inputs)."""
    outputs = window["inputs"] @ weight.T
    lengths = np.linalg.norm(outputs, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.einsum("mbo,mbi->moi", outputs / lengths, window["inputs"]) / ROWS


def _clipped(gradient, limit):
    return gradient * min(1.0, limit / np.linalg.norm(gradient))


class _Guarded(Check):
    answer = "guarded_step"
    allow_nonfinite = True

    def _case(self, rng, faults, max_norm=1e6):
        return {
            "weight": np.round(rng.standard_normal((OUTPUTS, INPUTS)), 3),
            "windows": [_window(rng, int(rng.integers(3, 6)), fault) for fault in faults],
            "max_norm": max_norm,
        }

    def probe(self, answer, case):
        model = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
        model.weight.data = torch.tensor(case["weight"], dtype=torch.float32)
        optimizer = Recorder(model.parameters(), lr=0.0)
        calls, call = [], in_one_place(answer)  # what one call has left is there for the next
        for window in case["windows"]:
            before = len(optimizer.seen)
            inputs = torch.tensor(window["inputs"], dtype=torch.float32)
            batches = list(zip(inputs, torch.tensor(window["extra"], dtype=torch.float32), strict=True))
            said = call(model, optimizer, mean_length, batches, case["max_norm"])
            steps = [gradients[0] for gradients in optimizer.seen[before:]]
            calls.append({"said": self._plain(said), "steps": steps})
        return {"calls": calls} | self._left(answer, model, case)

    def _left(self, answer, model, case):
        return {}

    def _plain(self, said):
        return None if said is None else bool(said)

    def judge(self, case, output):
        after_a_bad_one = False
        for window, call in zip(case["windows"], output["calls"], strict=True):
            each = _gradients(case["weight"], window)
            if window["fault"]:
                slip = self._of_a_bad_window(window, each, call["steps"])
            else:
                slip = self._of_a_good_window(case, each, call["steps"], after_a_bad_one)
            if slip:
                return slip
            after_a_bad_one = bool(window["fault"])
        return None

    def _of_a_bad_window(self, window, each, steps):
        if not steps:
            return None
        step = steps[0]
        if step is None or not np.any(step):
            return wrong("zeros-are-a-step")
        if window["fault"] == "extra" and close(step, each.mean(0), rtol=1e-3, atol=1e-5):
            return wrong("loss-not-asked")
        if not np.isfinite(step).all():
            key = "gradient-not-asked" if window["fault"] == "zero" else "stepped-on-nan"
            return wrong(key)
        return wrong("partial-window", k=len(each), rest=len(each) - 1)

    def _of_a_good_window(self, case, each, steps, after_a_bad_one):
        if not steps and after_a_bad_one:
            return wrong("dropped-after")
        if len(steps) != 1:
            return wrong("good-window-dropped", 1, len(steps))
        if steps[0] is None:
            return wrong("no-gradient-at-the-step")
        step, limit = np.asarray(steps[0]), case["max_norm"]
        right = _clipped(each.mean(0), limit)
        if close(step, right, rtol=1e-3, atol=1e-5):
            return None
        slips = {
            "sum-of-micro-batches": each.sum(0),
            "only-the-last": each[-1],
            "only-the-last-divided": each[-1] / len(each),
            "not-clipped": each.mean(0),
        }
        key = next((key for key, slip in slips.items() if close(step, slip, rtol=1e-3, atol=1e-5)), None)
        key = "only-the-last" if key == "only-the-last-divided" else key
        if key is None and after_a_bad_one:
            return wrong("leftover")
        return wrong(key or "gradient-off", float(np.linalg.norm(right)), float(np.linalg.norm(step)))


class Clean(_Guarded):
    name = "guarded-step/clean"

    def cases(self, rng):
        yield self._case(rng, ["", ""])
        yield self._case(rng, [""], max_norm=0.05)


class Loss(_Guarded):
    """A loss that is not finite: NaN, infinite, or infinite with a finite gradient."""

    name = "guarded-step/loss"

    def cases(self, rng):
        for fault in ("nan", "infinite", "extra"):
            yield self._case(rng, ["", fault])


class Gradient(_Guarded):
    """Every loss is finite, and the gradient is not."""

    name = "guarded-step/gradient"

    def cases(self, rng):
        yield self._case(rng, ["", "zero"])
        yield self._case(rng, ["zero", ""], max_norm=0.05)


class Afterwards(_Guarded):
    """The window after a dropped one is as if there had been none, and so is whoever goes on at the end."""

    name = "guarded-step/afterwards"

    def cases(self, rng):
        yield self._case(rng, ["", "nan", ""])
        yield self._case(rng, ["zero", "extra", ""])

    def _of_a_bad_window(self, window, each, steps):
        return None  # the checks before this one ask about that

    def _left(self, answer, model, case):
        """The gradient after one pass more, with what was there before; and that of a model without any."""
        fresh = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
        fresh.weight.data = torch.tensor(case["weight"], dtype=torch.float32)
        rows = case["windows"][-1]["inputs"][0].astype(np.float32)
        pairs = (("left", answer, model), ("right", None, fresh))
        return {key: go_on(who, which, rows, 0)["gradient"] for key, who, which in pairs}

    def judge(self, case, output):
        fault = super().judge(case, output)
        if fault:
            return fault
        left, right = output["left"].get("weight"), output["right"]["weight"]
        return None if left is not None and close(left, right, rtol=1e-3) else wrong("gradient-left")


class Returns(_Guarded):
    name = "guarded-step/returns"

    def cases(self, rng):
        yield self._case(rng, ["", "nan", ""])
        yield self._case(rng, ["zero", "", "extra"])

    def judge(self, case, output):
        for window, call in zip(case["windows"], output["calls"], strict=True):
            right = not window["fault"]
            if call["said"] is None:
                return wrong("check.returned-none", name=self.answer)
            if call["said"] != right:
                return wrong("says-updated" if call["said"] else "says-dropped", right, call["said"])
        return None
