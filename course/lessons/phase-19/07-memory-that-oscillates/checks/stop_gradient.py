"""Checks of `stop-gradient`: what is read is added, the gate learns, and what was written is left alone."""

import numpy as np
import torch

from course.check import Check, array, close, given, wrong


class _Mix(Check):
    answer = "mix"

    def cases(self, rng):
        for shape in ((2, 4, 3), (3, 2, 5)):
            drawn = {name: rng.normal(0, 1, shape) for name in ("present", "recalled", "upstream")}
            yield drawn | {"gate": rng.uniform(0.2, 0.8, (*shape[:2], 1))}

    def probe(self, answer, case):
        made = {
            name: torch.tensor(case[name], requires_grad=True) for name in ("present", "recalled", "gate")
        }
        present, recalled, gate = (leaf * 1.0 for leaf in made.values())  # what a model hands on is no leaf
        shape = case["present"].shape
        mixed = given(answer(present, recalled, gate))
        found = {"value": array(mixed, shape)}
        gradients = [None] * 3
        if isinstance(mixed, torch.Tensor) and mixed.requires_grad:
            loss = (mixed * torch.tensor(case["upstream"])).sum()
            gradients = torch.autograd.grad(loss, list(made.values()), allow_unused=True)
        for (name, leaf), gradient in zip(made.items(), gradients, strict=True):
            found[f"d_{name}"] = array(torch.zeros_like(leaf) if gradient is None else gradient)
        found |= {"after": array(present, shape), "kept": bool(recalled.requires_grad)}
        return found

    def _value_off(self, case, output):
        present, recalled, gate = (case[name] for name in ("present", "recalled", "gate"))
        if close(output["value"], present + gate * recalled, rtol=1e-6, atol=1e-9):
            return None
        slips = {
            "gate-forgotten": present + recalled,
            "convex": (1 - gate) * present + gate * recalled,
            "present-forgotten": gate * recalled,
        }
        near = (key for key, slip in slips.items() if close(output["value"], slip, rtol=1e-6, atol=1e-9))
        return wrong(next(near, "mix-off"))


class Value(_Mix):
    name = "stop-gradient/value"

    def judge(self, case, output):
        return self._value_off(case, output)


class Gate(_Mix):
    name = "stop-gradient/gate"

    def judge(self, case, output):
        expected = {
            "gate": (case["upstream"] * case["recalled"]).sum(-1, keepdims=True),
            "present": case["upstream"],
        }
        found = {name: np.asarray(output[f"d_{name}"]) for name in expected}
        if not any(gradient.any() for gradient in found.values()):
            return wrong("nothing-learns")
        for name, gradient in found.items():
            if not gradient.any():
                return wrong(f"{name}-frozen")
        same = all(close(found[name], expected[name], rtol=1e-6, atol=1e-9) for name in expected)
        return None if same else wrong("mix-gradient-off")


class Memory(_Mix):
    name = "stop-gradient/memory"

    def judge(self, case, output):
        reached = np.asarray(output["d_recalled"]).any()
        return wrong("memory-reached") if reached else self._value_off(case, output)


class Afterwards(_Mix):
    name = "stop-gradient/afterwards"

    def judge(self, case, output):
        if not output["kept"]:
            return wrong("switched-off")
        same = close(output["after"], case["present"], rtol=1e-9, atol=1e-12)
        return self._value_off(case, output) if same else wrong("present-overwritten")
