"""Checks of `audit-weights`: weights against the spread of their role."""

import math

import numpy as np
import torch
from torch import nn

from course.check import Check, number, wrong
from minigpt import Config
from minigpt.model.gpt import build_model
from minigpt.model.roles import expected_std, roles_of

NOISE = 4.6  # standard errors that a mean may be off and still be let through; the limit is 5
LOW, HIGH = 0.8, 1.25  # of the spread that a role asks for


def _untouched(layers, init_std):
    """A GPT with one small matrix besides, and its config."""
    config = Config(n_layer=layers, n_embd=32, n_head=2, context=16, bias=True, init_std=init_std)
    model = build_model(config)
    model.small = nn.Linear(8, 8)
    return model, config


def _drawn(case, rng):
    """Return parameters by name: matrices of exactly the spread of their role, means off by noise alone.

    `case["factors"]` widens matrices, `case["shifts"]` moves them, in standard errors; by the end of a name.
    """
    model, config = _untouched(case["n_layer"], case["init_std"])
    drawn, roles = {}, roles_of(model)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            drawn[name] = np.full(parameter.shape, 0.0 if name.endswith("bias") else 1.0)
            continue
        noise = rng.normal(size=tuple(parameter.shape))
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        errors = _of(case["shifts"], name, NOISE) / math.sqrt(noise.size)
        factor = _of(case["factors"], name, 1.0)
        drawn[name] = (noise + errors) * factor * expected_std(roles[name], config)
    return drawn


def _of(table, name, otherwise):
    return next((value for end, value in table.items() if name.endswith(end)), otherwise)


def _is_off(word, value):
    return value is not None and (word == "mean" or not LOW <= value <= HIGH)


class _Weights(Check):
    answer = "audit_weights"

    def _case(self, rng, factors=None, shifts=None, unscaled=False):
        layers, std = int(rng.choice([3, 6])), float(rng.choice([0.02, 0.03]))
        factors = {"c_proj.weight": math.sqrt(2 * layers)} if unscaled else factors or {}
        case = {"n_layer": layers, "init_std": std, "factors": factors, "shifts": shifts or {}}
        return case | {"weights": _drawn(case, rng)}

    def contrasts(self, rng, cases):
        for case in cases:
            drawn = {"n_layer": case["n_layer"], "init_std": case["init_std"], "shifts": {}}
            for factors in ({}, {"wpe.weight": 0.001, "small.weight": 1000.0}):
                yield case | {"weights": _drawn(drawn | {"factors": factors}, rng)}

    def probe(self, answer, case):
        model, config = _untouched(case["n_layer"], case["init_std"])
        weights = case["weights"]  # and not what was done to them: that is for the answer to find out
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.tensor(weights[name]))
        found = answer(model, config)
        if found is None:
            number(found)
        if not isinstance(found, dict):
            return {"found": None}
        return {"found": {str(name): str(word) for name, word in found.items()}}

    def judge(self, case, output):
        found = output["found"]
        if found is None:
            return wrong("not-a-dict")
        shapes = {name: weight.ndim for name, weight in case["weights"].items()}
        for name, word in found.items():
            if name not in shapes:
                return wrong("unknown-name", parameter=name)
            if word not in ("scale", "mean"):
                return wrong("not-a-word", actual=word)
        expected = {}
        for word, table in (("mean", case["shifts"]), ("scale", case["factors"])):
            expected |= {n: word for n in shapes if shapes[n] > 1 and _is_off(word, _of(table, n, None))}
        extra = [name for name in found if name not in expected]
        if extra:
            return wrong(self._invented(extra, found, shapes), parameter=extra[0])
        missing = [name for name in expected if found.get(name) != expected[name]]
        if not missing:
            return None
        name = missing[0]
        if name in found:
            return wrong("wrong-word", expected[name], found[name], parameter=name)
        return wrong(self._missed(case, name, expected[name]), parameter=name)

    def _invented(self, extra, found, shapes):
        if any(shapes[name] < 2 for name in extra):
            return "vector-judged"
        if all(name.endswith("c_proj.weight") and found[name] == "scale" for name in extra):
            return "residual-accused"
        return "noise-accused" if found[extra[0]] == "mean" else "healthy-accused"

    def _missed(self, case, name, word):
        if word == "mean":
            return "mean-missed"
        if _of(case["factors"], name, 1.0) < 1:
            return "narrow-missed"
        return "residual-missed" if name.endswith("c_proj.weight") else "wide-missed"


class Healthy(_Weights):
    name = "audit-weights/healthy"

    def cases(self, rng):
        yield self._case(rng)
        yield self._case(
            rng, factors={"0.mlp.c_fc.weight": 1.22, "1.mlp.c_fc.weight": 0.82, "wte.weight": 1.2}
        )


class Scale(_Weights):
    name = "audit-weights/scale"

    def cases(self, rng):
        yield self._case(rng, factors={"wte.weight": 4.0, "1.mlp.c_fc.weight": 1.6})
        yield self._case(rng, factors={"0.attn.c_attn.weight": 0.4, "wpe.weight": 0.1})
        yield self._case(rng, factors={"0.attn.c_attn.weight": 1.28, "wpe.weight": 0.78})


class Residual(_Weights):
    name = "audit-weights/residual"

    def cases(self, rng):
        yield self._case(rng, unscaled=True)
        yield self._case(rng, factors={"2.attn.c_proj.weight": math.sqrt(2)})
        yield self._case(rng, factors={"0.mlp.c_proj.weight": 0.72})


class Mean(_Weights):
    """Twelve standard errors in a large matrix are a smaller shift than noise in the 8 × 8 one."""

    name = "audit-weights/mean"

    def cases(self, rng):
        yield self._case(rng, shifts={"wte.weight": -12.0})
        yield self._case(rng, shifts={"1.mlp.c_fc.weight": 12.0, "small.weight": 7.0})
        yield self._case(rng, shifts={"wpe.weight": 5.4})
