"""Checks of `update-rms`: how stale Adam's second moment is, tensor by tensor."""

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, given, wrong


class _Moments(Check):
    answer = "update_rms"

    def _case(self, rng, steps=(200, 50), scale=1.0, missing=(), betas=(0.99, 0.995)):
        """The first tensor has a group of its own, and each group a β₂ of its own."""
        return {
            "steps": list(steps),
            "grads": [scale * rng.standard_normal((3, 2 + n)) for n in range(len(steps))],
            "seconds": [scale**2 * rng.uniform(0.2, 3.0, (3, 2 + n)) for n in range(len(steps))],
            "missing": list(missing),
            "betas": [betas[n > 0] for n in range(len(steps))],
        }

    def probe(self, answer, case):
        weights = [torch.nn.Parameter(torch.zeros(g.shape)) for g in case["grads"]]
        groups = [
            {"params": params, "betas": (0.9, beta2)}
            for params, beta2 in ((weights[:1], case["betas"][0]), (weights[1:], case["betas"][1]))
        ]
        optimizer = torch.optim.AdamW(groups, lr=0.1)
        for n, weight in enumerate(weights):
            weight.grad = torch.tensor(case["grads"][n], dtype=torch.float32)
            if n in case["missing"]:
                weight.grad = None
                continue
            second = torch.tensor(case["seconds"][n], dtype=torch.float32)
            optimizer.state[weight] = {
                "step": torch.tensor(float(case["steps"][n])),
                "exp_avg": torch.zeros_like(second),
                "exp_avg_sq": second,
            }
        call = in_one_place(answer)  # what it does to the optimizer's state is there for the next call
        first, again = given(call(optimizer)), call(optimizer)
        listed = first if isinstance(first, list | tuple) else [first]
        tensors = any(isinstance(value, torch.Tensor) for value in listed)
        return {"rms": array(first).ravel(), "again": array(again).ravel(), "tensors": tensors}

    def _right(self, case, corrected=True, rooted=True, betas=None):
        found, betas = [], betas or case["betas"]
        for n, (g, v) in enumerate(zip(case["grads"], case["seconds"], strict=True)):
            if n in case["missing"]:
                continue
            v = v / (1 - betas[n] ** case["steps"][n]) if corrected else v
            mean = (g**2 / v).mean()
            found.append(np.sqrt(mean) if rooted else mean)
        return np.array(found)

    def judge(self, case, output):
        right, actual = self._right(case), output["rms"]
        if actual.shape != right.shape:
            one_group = len(actual) == int(0 not in case["missing"])
            return wrong("first-group-alone" if one_group else "how-many", len(right), len(actual))
        if close(actual, right, rtol=1e-3):
            if not close(output["again"], right, rtol=1e-3):
                return wrong("state-overwritten", float(right[0]), float(output["again"][0]))
            return wrong("a-tensor") if output["tensors"] else None
        slips = {
            "not-corrected": self._right(case, corrected=False),
            "no-root-here": self._right(case, rooted=False),
            "mean-of-ratios": np.array(
                [
                    (np.abs(g) / np.sqrt(v / (1 - b**s))).mean()
                    for n, (g, v, s, b) in enumerate(
                        zip(case["grads"], case["seconds"], case["steps"], case["betas"], strict=True)
                    )
                    if n not in case["missing"]
                ]
            ),
        }
        for beta2 in (*case["betas"], 0.999):
            slips.setdefault(f"one-beta {beta2}", self._right(case, betas=[beta2] * len(case["steps"])))
        near = (key.split()[0] for key, slip in slips.items() if close(actual, slip, rtol=1e-3))
        return wrong(next(near, "stale-off"), float(right[0]), float(actual[0]))


class Late(_Moments):
    name = "update-rms/late"

    def cases(self, rng):
        yield self._case(rng, steps=(5000, 7000))
        yield self._case(rng, steps=(5000, 6000, 9000), scale=1e-3)


class Early(_Moments):
    """At the first steps the second moment is far too small: it has to be corrected."""

    name = "update-rms/early"

    def cases(self, rng):
        yield self._case(rng, steps=(1, 3))
        yield self._case(rng, steps=(2, 40), betas=(0.999, 0.99))


class Missing(_Moments):
    """A tensor without a gradient is left out."""

    name = "update-rms/missing"

    def cases(self, rng):
        yield self._case(rng, steps=(500, 600, 700), missing=(int(rng.integers(0, 3)),))
        yield self._case(rng, steps=(500, 600, 700), missing=(0, 2))
