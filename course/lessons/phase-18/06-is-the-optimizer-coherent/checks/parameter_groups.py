"""Checks of `parameter-groups`: every parameter in one group, and the right one."""

import torch
from torch import nn

from course.check import Check, close, number, wrong
from minigpt import Config
from minigpt.model.gpt import build_model

TORCH_DECAY = 0.01  # what AdamW gives a group that does not say


def _gpt(case):
    """A GPT with a frozen part, biases, and three parameters that no rule by name can know."""
    config = Config(n_layer=2, n_embd=8, n_head=2, context=8, bias=True, tied_head=case["tied"])
    model = build_model(config)
    model.temperature = nn.Parameter(torch.ones(()))
    model.mixing = nn.Parameter(torch.zeros(8))
    model.kernel = nn.Parameter(torch.zeros(8, 2, 3))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(case["frozen"]))
    return model


class _Groups(Check):
    answer = "parameter_groups"

    def cases(self, rng):
        frozen = ["wpe", "h.0", "h.1.mlp"]
        for tied in (True, False):
            decay = round(float(rng.uniform(0.02, 0.3)), 3)
            yield {"tied": tied, "frozen": str(rng.choice(frozen)), "weight_decay": decay}

    def probe(self, answer, case):
        model = _gpt(case)
        returned = answer(model, case["weight_decay"])
        if returned is None:
            number(returned)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        found, strangers = {}, 0
        if not isinstance(returned, (list, tuple)):
            return {"groups": False}
        for group in returned:
            if not isinstance(group, dict) or "params" not in group:
                return {"groups": False}
            tensors = group["params"]
            for parameter in [tensors] if isinstance(tensors, torch.Tensor) else tensors:
                if id(parameter) in names:
                    decays = found.setdefault(names[id(parameter)], [])
                    decays.append(number(group.get("weight_decay", -1.0)))
                else:
                    strangers += 1
        return {"groups": True, "decays": found, "strangers": strangers}

    def judge(self, case, output):
        if not output["groups"]:
            return wrong("not-groups")
        shapes = {name: parameter.ndim for name, parameter in _gpt(case).named_parameters()}
        learning = [name for name, parameter in _gpt(case).named_parameters() if parameter.requires_grad]
        return self._judge(case, output, shapes, learning)

    def _judge(self, case, output, shapes, learning):
        raise NotImplementedError


class Complete(_Groups):
    name = "parameter-groups/complete"

    def _judge(self, case, output, shapes, learning):
        if output["strangers"]:
            return wrong("not-parameters")
        missing = [name for name in learning if name not in output["decays"]]
        if not missing:
            return None
        return wrong("all-missing" if len(missing) == len(learning) else "missing", parameter=missing[0])


class Once(_Groups):
    name = "parameter-groups/once"

    def _judge(self, case, output, shapes, learning):
        if not output["decays"]:
            return wrong("all-missing")
        twice = [name for name, decays in output["decays"].items() if len(decays) > 1]
        if not twice:
            return None
        return wrong("tied-twice" if twice == ["wte.weight"] else "twice", parameter=twice[0])


class Frozen(_Groups):
    name = "parameter-groups/frozen"

    def _judge(self, case, output, shapes, learning):
        if not output["decays"]:
            return wrong("all-missing")
        frozen = [name for name in output["decays"] if name not in learning]
        return wrong("frozen-inside", parameter=frozen[0]) if frozen else None


class Matrices(_Groups):
    name = "parameter-groups/matrices"

    def _judge(self, case, output, shapes, learning):
        asked = case["weight_decay"]
        seen = {name: output["decays"][name][0] for name in output["decays"] if shapes[name] >= 2}
        if not seen:
            return wrong("all-missing")
        for name, decay in seen.items():
            if close(decay, asked):
                continue
            if decay < 0:
                return wrong("decay-left-out", asked, TORCH_DECAY, parameter=name)
            if decay == 0:
                return wrong("matrix-spared", asked, decay, parameter=name)
            return wrong("decay-ignored", asked, decay, parameter=name)
        return None


class Vectors(_Groups):
    name = "parameter-groups/vectors"

    def _judge(self, case, output, shapes, learning):
        seen = {name: output["decays"][name][0] for name in output["decays"] if shapes[name] < 2}
        if not seen:
            return wrong("all-missing")
        decaying = {name: decay for name, decay in seen.items() if decay != 0}
        if not decaying:
            return None
        name, decay = next(iter(decaying.items()))
        if decay < 0:
            return wrong("decay-left-out", 0.0, TORCH_DECAY, parameter=name)
        if set(decaying) <= {"temperature", "mixing"}:
            return wrong("rule-by-name", 0.0, decay, parameter=name)
        if len(decaying) < len(seen) and not any(name.endswith("bias") for name in decaying):
            return wrong("gains-decay", 0.0, decay, parameter=name)
        return wrong("vector-decays", 0.0, decay, parameter=name)
