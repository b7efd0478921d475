"""Checks of `global-norm`: the norm of all gradients together."""

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, number, wrong

from .shared import draw_tensors, norm_of


class _GlobalNorm(Check):
    answer = "global_norm"

    def probe(self, answer, case):
        tensors = [None if part is None else torch.tensor(part) for part in case["tensors"]]
        call = in_one_place(answer)  # what it does to a gradient is there for the second call
        norm, again = number(call(tensors)), number(call(tensors))
        kept = [
            part is None or close(array(t), part) for t, part in zip(tensors, case["tensors"], strict=True)
        ]
        return {"norm": norm, "again": again, "kept": all(kept)}

    def judge(self, case, output):
        tensors = [part for part in case["tensors"] if part is not None]
        expected, actual = norm_of(tensors), output["norm"]
        if close(actual, expected):
            same = output["kept"] and close(output["again"], expected)
            return None if same else wrong("gradients-changed")
        if not tensors:
            return wrong("nothing-is-zero", 0.0, actual)
        norms = [norm_of([tensor]) for tensor in tensors]
        everything = np.concatenate([tensor.ravel() for tensor in tensors])
        slips = {
            "no-root": expected**2,
            "sum-of-sizes": float(np.abs(everything).sum()),
            "root-mean-square": float(np.sqrt((everything**2).mean())),
            "largest-element": float(np.abs(everything).max()),
        }
        if tensors[0].ndim == 2:
            slips["spectral"] = float(np.linalg.norm(tensors[0], 2))
        if len(tensors) > 1:
            slips |= {
                "norms-summed": sum(norms),
                "norms-averaged": float(np.mean(norms)),
                "largest-norm": max(norms),
                "one-tensor": norms[-1] if close(actual, norms[-1]) else norms[0],
            }
        key = next((key for key, slip in slips.items() if close(actual, slip)), "norm-off")
        return wrong(key, expected, actual)


class OneTensor(_GlobalNorm):
    name = "global-norm/one"

    def cases(self, rng):
        yield {"tensors": draw_tensors(rng, 1)}


class ManyTensors(_GlobalNorm):
    name = "global-norm/many"

    def cases(self, rng):
        yield {"tensors": draw_tensors(rng, 3)}
        yield {"tensors": draw_tensors(rng, 5)}


class Missing(_GlobalNorm):
    name = "global-norm/missing"

    def cases(self, rng):
        first, second, third = draw_tensors(rng, 3)
        yield {"tensors": [None, first, None, second, third]}
        yield {"tensors": []}
