"""Checks of `init-weights`: an initialisation by role."""

import copy
import math
import re

import numpy as np
import torch

from course.afterwards import go_on
from course.check import Check, close, number, wrong
from course.plain import same
from minigpt import Config
from minigpt.model.gpt import build_model

SLACK = 0.15  # relative; the 64 × 64 draws of one projection stay well inside
ERRORS = 6  # standard errors by which what was drawn may be off
# A normal distribution cut at 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5 and 4 standard deviations, and uncut.
CUT_KURTOSIS = (2.122, 2.238, 2.366, 2.497, 2.624, 2.829, 2.943, 2.986, 3.0)
CUT_STD = (0.743, 0.820, 0.880, 0.924, 0.955, 0.987, 0.997, 0.999, 1.0)


class _Init(Check):
    """A GPT whose every parameter is wrong beforehand, each in its own way; even the head has a bias."""

    answer = "init_weights"
    structure = False  # whether the model's parts are asked about, and not only its numbers

    def cases(self, rng):
        # With 2 layers 0.02/√(2L) = 0.01, with 4 layers 0.02/√L = 0.01: neither tells a rule from a constant.
        case = {"n_layer": int(rng.choice([3, 6, 8])), "n_embd": 64, "seed": int(rng.integers(2**31))}
        yield case | {"next": rng.integers(0, 300, (2, 8))}

    def probe(self, answer, case):
        config = Config(n_layer=case["n_layer"], n_embd=case["n_embd"], bias=True)
        model = build_model(config)
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(config.vocab_size))
        generator = torch.Generator().manual_seed(case["seed"])
        with torch.no_grad():
            for parameter in model.parameters():
                width = 0.5 + 2.5 * torch.rand((), generator=generator)
                parameter.copy_(0.3 + width * torch.randn(parameter.shape, generator=generator))
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        answer(model, config)
        tied = model.lm_head.weight is model.wte.weight
        found = {"tied": tied, "parameters": self._measured(before, dict(model.named_parameters()))}
        return found | {"as_told": not self.structure or self._as_told(answer, model, case["next"])}

    def _as_told(self, answer, model, tokens):
        """Whether it does what a model of these parameters does, and is not only said to have them."""
        told = go_on(None, copy.deepcopy(model), tokens, 0)
        return _alike(go_on(answer, model, tokens, 0), told)

    def _measured(self, before, after):
        found, first = {}, {}
        for name, old in before.items():
            if self._concerns(name) and name in after:
                new = after[name].detach()
                place = re.sub(r"\d+", "", name)  # the same part of every block
                other = first.setdefault(place, new)
                found[name] = {
                    "like": 0.0 if other is new else _likeness(new, other),
                    "kurtosis": _kurtosis(new),
                    "moved": not torch.equal(old, new),
                    "mean": number(new.mean()),
                    "std": number(new.std()),
                    "size": new.numel(),
                    "inputs": new.shape[-1],
                }
        return found

    def judge(self, case, output):
        fault = self._judge(case, output)
        return fault if fault or output["as_told"] else wrong("check.not-as-told", name=self.answer)

    def _concerns(self, name):
        raise NotImplementedError


def _alike(one, other):
    """Whether two models did the same when they went on."""
    if one["gradient"].keys() != other["gradient"].keys():
        return False
    pairs = [(one["output"], other["output"])]
    pairs += [(one["gradient"][name], other["gradient"][name]) for name in one["gradient"]]
    return all(close(a, b, rtol=1e-3, atol=1e-5 + 1e-4 * np.abs(b).max()) or same(a, b) for a, b in pairs)


def _likeness(one, other):
    """How much of one tensor is in another of its shape: 1 if they are the same but for a factor."""
    one, other = (part.double().flatten() - part.double().mean() for part in (one, other))
    return number(one @ other / (one.norm() * other.norm()).clamp(min=1e-30))


def _kurtosis(tensor):
    """3 for a normal distribution, 1.8 for a uniform one."""
    off = tensor.double() - tensor.double().mean()
    return number((off**4).mean() / (off**2).mean().clamp(min=1e-30) ** 2)


def _before_the_cut(values):
    """The standard deviation that a draw would have had if the tails had not been cut off."""
    return values["std"] / float(np.interp(values["kurtosis"], CUT_KURTOSIS, CUT_STD))


def _spread(name, values):
    """The misconception behind the spread of one ordinary matrix, or None."""
    std, inputs = values["std"], values["inputs"]
    slips = {
        "std-is-one": (1.0,),
        "std-is-variance": (math.sqrt(0.02), 0.02**2),
        "std-is-bound": (0.02 / math.sqrt(3),),
    }
    if name.startswith("h."):  # an embedding has no fan-in
        slips["std-by-fan-in"] = (1 / math.sqrt(inputs), math.sqrt(2 / inputs), 1 / math.sqrt(3 * inputs))
    rtol = ERRORS / math.sqrt(2 * values["size"])
    if any(close(found, 0.02, rtol=rtol) for found in (std, _before_the_cut(values))):
        return None
    return next(
        (key for key, stds in slips.items() if any(close(std, s, rtol=0.05) for s in stds)), "std-off"
    )


class Matrices(_Init):
    name = "init-weights/matrices"
    structure = True

    def _concerns(self, name):
        return name.endswith("weight") and "ln_" not in name and "c_proj" not in name

    def _judge(self, case, output):
        if not output["tied"]:
            return wrong("tie-broken")
        names = sorted(output["parameters"], key=lambda name: not name.startswith("h."))
        for name in names:  # the layers first: there the likely slips can be told apart
            values = output["parameters"][name]
            if not values["moved"]:
                return wrong("matrix-untouched", parameter=name)
            if values["std"] == 0.0:
                return wrong("matrix-constant", 0.02, 0.0, parameter=name)
            slip = _spread(name, values)
            if slip:
                return wrong(slip, 0.02, values["std"], parameter=name)
            if abs(values["mean"]) > 6 * values["std"] / math.sqrt(values["size"]):
                return wrong("mean-off", 0.0, values["mean"], parameter=name)
            if values["like"] > 0.5:
                return wrong("blocks-alike", parameter=name)
            if values["kurtosis"] < 2.1:
                return wrong("drawn-uniformly", parameter=name)
        return None


def _drawn_otherwise(values, ordinary):
    """What is wrong with how a projection was drawn that is not wrong with an ordinary matrix, or None."""

    def slips(of):
        yield "mean-off", abs(of["mean"]) > 6 * of["std"] / math.sqrt(of["size"])
        yield "blocks-alike", of["like"] > 0.5
        yield "drawn-uniformly", of["std"] > 0 and of["kurtosis"] < 2.1

    pairs = zip(slips(values), slips(ordinary), strict=True)
    return next((key for (key, here), (_, there) in pairs if here and not there), None)


class Residual(_Init):
    """Judged by the ratio to an ordinary matrix of the same block, so that one slip fails one check."""

    name = "init-weights/residual"

    def _concerns(self, name):
        return name.endswith(("c_proj.weight", "c_fc.weight"))

    def _judge(self, case, output):
        layers, parameters = case["n_layer"], output["parameters"]
        expected, found = 1 / math.sqrt(2 * layers), {"attn": [], "mlp": []}
        together = self._together(parameters)
        for block in range(layers):
            ordinary = parameters[f"h.{block}.mlp.c_fc.weight"]["std"]
            for part, ratios in found.items():
                name = f"h.{block}.{part}.c_proj.weight"
                if not parameters[name]["moved"]:
                    return wrong("matrix-untouched", parameter=name)
                ratios.append(parameters[name]["std"] / max(ordinary, 1e-12))
                if slip := _drawn_otherwise(parameters[name], parameters[f"h.{block}.mlp.c_fc.weight"]):
                    return wrong(slip, parameter=name)
        ratios = np.array(found["attn"] + found["mlp"])
        each = np.allclose(ratios, expected, rtol=SLACK, atol=0)
        if each and any(close(ratio, expected, rtol=together["rtol"]) for ratio in together["ratios"]):
            return None
        slips = {
            "residual-not-scaled": 1.0,
            "residual-one-write": 1 / math.sqrt(layers),
            "residual-no-root": 1 / (2 * layers),
            "residual-for-two-layers": 0.5,
        }
        means = {part: float(np.mean(values)) for part, values in found.items()}
        unscaled = [part for part, mean in means.items() if close(mean, 1.0, rtol=SLACK)]
        right = [part for part, mean in means.items() if close(mean, expected, rtol=SLACK)]
        if unscaled and right:
            return wrong("residual-only-one", expected, means[unscaled[0]], part=unscaled[0])
        mean = float(ratios.mean())
        key = next((key for key, slip in slips.items() if close(mean, slip, rtol=0.05)), "residual-off")
        return wrong(key, expected, mean)

    @staticmethod
    def _together(parameters):
        """The ratio of all projections to all ordinary matrices, cut and uncut, and how exact it is."""
        groups = [[v for n, v in parameters.items() if part in n] for part in ("c_proj", "c_fc")]
        sizes = [sum(values["size"] for values in group) for group in groups]

        def ratio(std):
            squares = [sum(v["size"] * std(v) ** 2 for v in group) for group in groups]
            return math.sqrt(squares[0] / sizes[0] / max(squares[1] / sizes[1], 1e-24))

        rtol = ERRORS * math.sqrt(sum(1 / (2 * size) for size in sizes))
        return {"ratios": [ratio(lambda values: values["std"]), ratio(_before_the_cut)], "rtol": rtol}


class Gains(_Init):
    name = "init-weights/gains"

    def _concerns(self, name):
        return "ln_" in name and name.endswith("weight")

    def _judge(self, case, output):
        for name, values in output["parameters"].items():
            mean, std = values["mean"], values["std"]
            if close(mean, 1.0) and std < 1e-4:
                continue
            if not values["moved"]:
                return wrong("gain-untouched", parameter=name)
            if close(mean, 0.0) and std < 1e-4:
                return wrong("gain-zero", 1.0, mean, parameter=name)
            if abs(mean) < 0.1 and std > 0.001:
                return wrong("gain-drawn", 1.0, mean, parameter=name)
            return wrong("gain-off", 1.0, mean, parameter=name)
        return None


class Biases(_Init):
    name = "init-weights/biases"
    structure = True

    def _concerns(self, name):
        return name.endswith("bias")

    def _judge(self, case, output):
        parameters = output["parameters"]
        if "lm_head.bias" not in parameters:
            return wrong("head-bias-removed")
        off = {n: v for n, v in parameters.items() if abs(v["mean"]) > 1e-6 or v["std"] > 1e-6}
        if not off:
            return None
        if set(off) == {"lm_head.bias"}:
            return wrong("head-bias-left", 0.0, off["lm_head.bias"]["std"])
        name, values = next(iter(off.items()))
        if not values["moved"]:
            return wrong("bias-untouched", parameter=name)
        if close(values["mean"], 1.0) and values["std"] < 1e-4:
            return wrong("bias-one", 0.0, 1.0, parameter=name)
        return wrong("bias-drawn", 0.0, values["std"], parameter=name)
