"""Checks of `amp-step`: scale, unscale, clip, step, update, always in this order and always to the end."""

import numpy as np
import torch
from torch import nn

from course.afterwards import in_one_place
from course.check import Check, array, close, number, wrong

STAGES = ("ready", "unscaled", "stepped")


LARGEST = 65504.0  # of fp16


class RangeOfHalf(torch.autograd.Function):
    """The identity, with a gradient that overflows as in fp16; a sandbox may lack what real fp16 asks for."""

    @staticmethod
    def forward(ctx, weight):
        return weight.clone()

    @staticmethod
    def backward(ctx, grad):
        return torch.where(grad.abs() > LARGEST, grad * torch.inf, grad)


class Linear(nn.Module):
    """A loss whose gradient is `x` and overflows as in fp16."""

    def __init__(self, weight, x):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.register_buffer("x", torch.tensor(x), persistent=False)


def loss_of(model):
    """Return the loss, a tensor in fp32."""
    return (RangeOfHalf.apply(model.weight) * model.x).sum()


class WatchedScaler:
    """torch.amp.GradScaler with its rules, which can travel to another process; a call that GradScaler
    refuses with an error is noted and does nothing."""

    def __init__(self, scale):
        self.factor, self.stage, self.found, self.refused = float(scale), "ready", False, False

    def scale(self, loss):
        return loss * self.factor

    def unscale_(self, optimizer):
        if self.stage != "ready":
            self.refused = True
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.div_(self.factor)
                    self.found = self.found or not bool(torch.isfinite(parameter.grad).all())
        self.stage = "unscaled"

    def step(self, optimizer):
        if self.stage == "stepped":
            self.refused = True
            return
        if self.stage == "ready":
            self.unscale_(optimizer)
        if not self.found:
            optimizer.step()
        self.stage = "stepped"

    def update(self, new_scale=None):
        if self.stage == "ready":
            self.refused = True
            return
        self.factor = float(new_scale or self.factor * (0.5 if self.found else 1.0))
        self.stage, self.found = "ready", False

    def get_scale(self):
        return self.factor

    def is_enabled(self):
        return True

    def report(self):
        return [self.factor, STAGES.index(self.stage), int(self.found), int(self.refused)]

    def accept(self, report):
        self.factor, self.stage = float(report[0]), STAGES[int(report[1])]
        self.found, self.refused = bool(report[2]), bool(report[3])


def _case(rng, size, scale, max_norm):
    """Gradients in eighths, so that fp16 holds them exactly."""
    x = rng.integers(1, 9, 4) / 8 * rng.choice([-1.0, 1.0], 4)
    x = np.round(x * size * 8) / 8
    return {
        "x": x,
        "weight": rng.integers(-8, 9, 4) / 8,
        "scale": float(scale),
        "max_norm": float(max_norm),
        "lr": 0.125,
    }


class _AmpStep(Check):
    answer = "amp_step"
    allow_nonfinite = True
    calls = 1

    def probe(self, answer, case):
        model = Linear(case["weight"].astype(np.float32), case["x"].astype(np.float32))
        optimizer = torch.optim.SGD(model.parameters(), lr=case["lr"])
        scaler = WatchedScaler(case["scale"])
        weights, norms = [], []
        call = in_one_place(answer)  # what one call has left is there for the next
        for _ in range(self.calls):
            norms.append(self._norm(call(model, optimizer, scaler, loss_of, case["max_norm"])))
            if scaler.refused:
                return {"refused": len(norms), "weights": weights, "norms": norms, "scale": 0.0}
            weights.append(array(model.weight, (4,)).tolist())
        return {"refused": 0, "weights": weights, "norms": norms, "scale": float(scaler.factor)}

    def _norm(self, value):
        return 0.0

    def judge(self, case, output):
        if output["refused"]:
            return wrong("scaler-refuses", call=output["refused"])
        return self._judge(case, output, [np.array(row) for row in output["weights"]])

    def _judge(self, case, output, weights):
        x, norm, start = case["x"], float(np.linalg.norm(case["x"])), case["weight"]
        clipped = x * min(1.0, case["max_norm"] / norm)
        for call, weight in enumerate(weights):
            move = (start - weight) / case["lr"]
            start = weight
            if close(move, clipped, rtol=1e-4):
                continue
            cut = min(1.0, case["max_norm"] / (norm * case["scale"]))
            slips = {
                "no-step": 0 * x,
                "not-clipped": x,
                "never-unscaled": x * case["scale"],
                "clipped-scaled": x * case["scale"] * cut,
                "unscaled-late": x * cut,
            }
            if call and not close(move, x * 0):
                return wrong("left-over", norm, float(np.linalg.norm(move)), call=call + 1)
            key = next((key for key, slip in slips.items() if close(move, slip, rtol=1e-4)), "move-off")
            expected, actual = float(np.linalg.norm(clipped)), float(np.linalg.norm(move))
            return wrong(key, expected, actual, call=call + 1)
        return None


class Update(_AmpStep):
    name = "amp-step/update"

    def cases(self, rng):
        yield _case(rng, 1.0, 2.0**10, 100.0)
        yield _case(rng, 2.0, 2.0**12, 100.0)


class Twice(_AmpStep):
    name = "amp-step/twice"
    calls = 2

    def cases(self, rng):
        yield _case(rng, 1.0, 2.0**10, 100.0)
        yield _case(rng, 2.0, 2.0**8, 100.0)


class Clip(_AmpStep):
    name = "amp-step/clip"

    def cases(self, rng):
        yield _case(rng, 2.0, 2.0**10, 1.0)
        yield _case(rng, 4.0, 2.0**6, 0.5)
        yield _case(rng, 1.0, 2.0**12, 100.0)


class Norm(_AmpStep):
    name = "amp-step/norm"

    def _norm(self, value):
        return number(value)

    def cases(self, rng):
        yield _case(rng, 2.0, 2.0**10, 1.0)
        yield _case(rng, 1.0, 2.0**5, 100.0)

    def _judge(self, case, output, weights):
        norm, actual = float(np.linalg.norm(case["x"])), output["norms"][0]
        if close(actual, norm, rtol=1e-4):
            return None
        if close(actual, norm * case["scale"], rtol=1e-4):
            return wrong("norm-scaled", norm, actual)
        if close(actual, min(norm, case["max_norm"]), rtol=1e-3):
            return wrong("norm-after", norm, actual)
        return wrong("norm-off", norm, actual)


class Overflow(_AmpStep):
    """The first call overflows in fp16; after one halving the second does not."""

    name = "amp-step/overflow"
    calls = 3

    def cases(self, rng):
        for _ in range(2):
            case = _case(rng, 2.0, 2.0**12, 1000.0)
            case["x"][int(rng.integers(0, 4))] = float(rng.choice([18.0, 20.0, 24.0]))  # × 2^12 > 65504
            yield case

    def _judge(self, case, output, weights):
        if not np.isfinite(weights[0]).all():
            return wrong("stepped-on-infinity")
        if not close(weights[0], case["weight"]):
            return wrong("stepped-on-infinity")
        if close(output["scale"], case["scale"]):
            return wrong("scale-not-lowered", case["scale"] / 2, output["scale"])
        if close(output["scale"], case["scale"] / 8):
            return wrong("left-over", call=2)
        if not close(output["scale"], case["scale"] / 2):
            return wrong("scale-by-hand", case["scale"] / 2, output["scale"])
        moved, norm = (weights[0] - weights[1]) / case["lr"], float(np.linalg.norm(case["x"]))
        if close(moved, case["x"], rtol=1e-4):
            return None
        cut = min(1.0, case["max_norm"] / (norm * output["scale"]))
        key = "unscaled-late" if close(moved, cut * case["x"], rtol=1e-4) else "no-recovery"
        return wrong(key, norm, float(np.linalg.norm(moved)))
