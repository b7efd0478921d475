"""Checks of lesson 18-01: the ruler for a first loss, an initialisation by role, a masked mean."""

import math

import numpy as np
import torch

from course.check import Check, array, close, number, wrong
from minigpt.config import Config
from minigpt.model import build_model

SLACK = 0.15  # relative; a few thousand draws and a truncated normal stay well inside
PASS, WARN, TOO_HIGH, TOO_LOW, UNKNOWN = "pass", "warn", "too-high", "too-low", "unknown"
VOCABULARIES = (8_192, 32_000, 50_257, 100_277)  # so far from 512 that its limits never fit by chance


class _ExpectedLoss(Check):
    answer = "expected_loss"

    def probe(self, answer, case):
        return {"loss": number(answer(case["vocab_size"]))}

    def judge(self, case, output):
        vocab_size, actual = case["vocab_size"], output["loss"]
        expected = math.log(vocab_size)
        if close(actual, expected):
            return None
        slips = {
            "in-bits": math.log2(vocab_size),
            "in-decades": math.log10(vocab_size),
            "minus-sign": -expected,
            "a-probability": 1 / vocab_size,
            "a-perplexity": float(vocab_size),
            "ignores-vocabulary": math.log(512),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip)), "not-ln-v")
        return wrong(key, expected, actual)


class Course(_ExpectedLoss):
    name = "expected-loss/course"

    def cases(self, rng):
        yield {"vocab_size": 512}


class AnyVocabulary(_ExpectedLoss):
    name = "expected-loss/any"

    def cases(self, rng):
        yield {"vocab_size": 50_257}
        yield {"vocab_size": int(rng.integers(1_000, 200_000))}


class NothingToGuess(_ExpectedLoss):
    name = "expected-loss/one"

    def cases(self, rng):
        yield {"vocab_size": 1}

    def judge(self, case, output):
        if close(output["loss"], 0.0):
            return None
        return wrong("one-is-certain", 0.0, output["loss"])


class _Verdict(Check):
    """Bands by Δ = loss − ln V; every case stays clear of the limits, so ≤ and < both pass."""

    answer = "start_verdict"
    bands: dict[str, tuple[tuple[float, float], ...]]  # expected verdict → ranges of Δ

    def cases(self, rng):
        for verdict, ranges in self.bands.items():
            for low, high in ranges:
                for vocab_size in (512, int(rng.choice(VOCABULARIES))):
                    delta = round(float(rng.uniform(low, high)), 3)
                    loss = round(math.log(vocab_size) + delta, 3)
                    yield {"vocab_size": vocab_size, "loss": loss, "delta": delta, "expected": verdict}

    def probe(self, answer, case):
        return {"verdict": str(answer(case["loss"], case["vocab_size"]))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["verdict"]
        if actual == expected:
            return None
        if actual not in (PASS, WARN, TOO_HIGH, TOO_LOW, UNKNOWN):
            return wrong("not-a-verdict", expected, actual)
        if case["vocab_size"] != 512 and actual == _by_the_course_limits(case["loss"]):
            return wrong("fixed-limits", expected, actual)
        return wrong(self._slip(expected, actual), expected, actual)

    def _slip(self, expected, actual):
        if expected == TOO_LOW:
            return "low-is-not-" + ("high" if actual in (TOO_HIGH, WARN) else "fine")
        if expected == PASS:
            return "chance-refused"
        return "high-let-through" if actual == PASS else "wrong-band"


def _by_the_course_limits(loss):
    """The verdict of somebody who wrote down the limits for V = 512 as numbers."""
    delta = loss - math.log(512)
    if delta < -0.5:
        return TOO_LOW
    return PASS if delta <= 0.5 else WARN if delta <= 1.76 else TOO_HIGH


class Healthy(_Verdict):
    name = "start-verdict/healthy"
    bands = {PASS: ((-0.4, -0.1), (0.05, 0.4))}


class High(_Verdict):
    name = "start-verdict/high"
    bands = {WARN: ((0.6, 1.6),), TOO_HIGH: ((1.9, 60.0),)}


class Low(_Verdict):
    name = "start-verdict/low"
    bands = {TOO_LOW: ((-2.5, -0.6),)}


class NotANumber(Check):
    name = "start-verdict/nan"
    answer = "start_verdict"

    def cases(self, rng):
        yield {"vocab_size": int(rng.choice(VOCABULARIES))}

    def probe(self, answer, case):
        return {"verdict": str(answer(math.nan, case["vocab_size"]))}

    def judge(self, case, output):
        if output["verdict"] == UNKNOWN:
            return None
        if output["verdict"] == PASS:
            return wrong("nan-passes", UNKNOWN, PASS)
        return wrong("nan-named", UNKNOWN, output["verdict"])


class _Init(Check):
    """A GPT whose every parameter is wrong beforehand, each in its own way; even the head has a bias."""

    answer = "init_weights"

    def cases(self, rng):
        # With 2 layers 0.02/√(2L) = 0.01, with 4 layers 0.02/√L = 0.01: neither tells a rule from a constant.
        yield {"n_layer": int(rng.choice([3, 6, 8])), "n_embd": 64, "seed": int(rng.integers(2**31))}

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
        return {"tied": tied, "parameters": self._measured(before, dict(model.named_parameters()))}

    def _measured(self, before, after):
        found = {}
        for name, old in before.items():
            if self._concerns(name) and name in after:
                new = after[name].detach()
                found[name] = {
                    "moved": not torch.equal(old, new),
                    "mean": number(new.mean()),
                    "std": number(new.std()),
                    "size": new.numel(),
                    "inputs": new.shape[-1],
                }
        return found

    def _concerns(self, name):
        raise NotImplementedError


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
    if close(std, 0.02, rtol=SLACK):
        return None
    return next(
        (key for key, stds in slips.items() if any(close(std, s, rtol=0.05) for s in stds)), "std-off"
    )


class Matrices(_Init):
    name = "init-weights/matrices"

    def _concerns(self, name):
        return name.endswith("weight") and "ln_" not in name and "c_proj" not in name

    def judge(self, case, output):
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
        return None


class Residual(_Init):
    """Judged by the ratio to an ordinary matrix of the same block, so that one slip fails one check."""

    name = "init-weights/residual"

    def _concerns(self, name):
        return name.endswith("c_proj.weight") or name.endswith("c_fc.weight")

    def judge(self, case, output):
        layers, parameters = case["n_layer"], output["parameters"]
        expected, found = 1 / math.sqrt(2 * layers), {"attn": [], "mlp": []}
        for block in range(layers):
            ordinary = parameters[f"h.{block}.mlp.c_fc.weight"]["std"]
            for part, ratios in found.items():
                name = f"h.{block}.{part}.c_proj.weight"
                if not parameters[name]["moved"]:
                    return wrong("matrix-untouched", parameter=name)
                ratios.append(parameters[name]["std"] / max(ordinary, 1e-12))
        ratios = np.array(found["attn"] + found["mlp"])
        if np.allclose(ratios, expected, rtol=SLACK, atol=0):
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


class Gains(_Init):
    name = "init-weights/gains"

    def _concerns(self, name):
        return "ln_" in name and name.endswith("weight")

    def judge(self, case, output):
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

    def _concerns(self, name):
        return name.endswith("bias")

    def judge(self, case, output):
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


def _batch(rng, ragged=True):
    """Losses (B, T) and a mask of lengths that all differ, as lists; padding holds losses too."""
    rows, columns = int(rng.integers(3, 6)), int(rng.integers(7, 12))
    lengths = rng.permutation(np.arange(1, columns))[:rows] if ragged else np.full(rows, columns)
    mask = np.arange(columns)[None] < lengths[:, None]
    losses = np.where(mask, rng.uniform(1.0, 7.0, mask.shape), rng.uniform(20.0, 40.0, mask.shape))
    return losses.astype(np.float32), mask


class _MaskedMean(Check):
    answer = "masked_mean"

    def probe(self, answer, case):
        losses = torch.tensor(case["losses"], dtype=torch.float32)
        return {"value": number(answer(losses, torch.tensor(case["mask"])))}


def _mean_slip(losses, mask, actual):
    rows, counted = len(losses), int(mask.sum())
    kept = float(losses[mask].sum())
    slips = {
        "sum-not-mean": kept,
        "mask-ignored": float(losses.mean()),
        "divides-by-all": kept / mask.size,
        "divides-by-batch": kept / rows,
        "divides-by-length": kept / mask.shape[1],
        "mean-of-means": float(np.mean([row[keep].mean() for row, keep in zip(losses, mask, strict=True)])),
        "one-too-many": kept / (counted + 1),
    }
    if not mask.all():
        slips["mask-inverted"] = float(losses[~mask].mean())
    return next((key for key, slip in slips.items() if close(actual, slip)), "mean-off-target")


class Full(_MaskedMean):
    name = "masked-mean/full"

    def cases(self, rng):
        losses, mask = _batch(rng, ragged=False)
        yield {"losses": losses, "mask": mask}

    def judge(self, case, output):
        expected = float(case["losses"].mean())
        if close(output["value"], expected):
            return None
        return wrong(_mean_slip(case["losses"], case["mask"], output["value"]), expected, output["value"])


class Padding(_MaskedMean):
    name = "masked-mean/padding"

    def cases(self, rng):
        for _ in range(2):
            losses, mask = _batch(rng)
            yield {"losses": losses, "mask": mask}

    def judge(self, case, output):
        expected = float(case["losses"][case["mask"]].mean())
        if close(output["value"], expected):
            return None
        return wrong(_mean_slip(case["losses"], case["mask"], output["value"]), expected, output["value"])


class Empty(_MaskedMean):
    name = "masked-mean/empty"
    allow_nonfinite = True

    def cases(self, rng):
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": np.zeros_like(mask)}

    def judge(self, case, output):
        actual = output["value"]
        if close(actual, 0.0):
            return None
        return wrong("empty-not-zero" if math.isfinite(actual) else "empty-gives-nan", 0.0, actual)


class Leak(_MaskedMean):
    name = "masked-mean/leak"
    allow_nonfinite = True

    def cases(self, rng):
        for poison in (math.inf, math.nan):
            losses, mask = _batch(rng)
            losses[tuple(rng.choice(np.argwhere(~mask)))] = poison
            yield {"losses": losses, "mask": mask, "hidden": True}
        losses, mask = _batch(rng)
        losses[tuple(rng.choice(np.argwhere(mask)))] = math.nan
        yield {"losses": losses, "mask": mask, "hidden": False}

    def judge(self, case, output):
        actual = output["value"]
        if not case["hidden"]:
            return None if math.isnan(actual) else wrong("nan-swallowed", math.nan, actual)
        if math.isfinite(actual):
            return None  # whether it is the right mean is the business of the checks before
        return wrong("masked-nan-leaks", float(case["losses"][case["mask"]].mean()), actual)


class Gradient(Check):
    name = "masked-mean/gradient"
    answer = "masked_mean"
    allow_nonfinite = True

    def cases(self, rng):
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": mask, "empty": False}
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": np.zeros_like(mask), "empty": True}

    def probe(self, answer, case):
        losses = torch.tensor(case["losses"], dtype=torch.float32, requires_grad=True)
        value = answer(losses, torch.tensor(case["mask"]))
        number(value)
        if not (isinstance(value, torch.Tensor) and value.requires_grad):
            return {"connected": False}
        value.sum().backward()
        return {"connected": True, "gradient": array(losses.grad, case["losses"].shape)}

    def judge(self, case, output):
        if not output["connected"]:
            return wrong("empty-cut-off" if case["empty"] else "cut-off")
        gradient, mask = output["gradient"], case["mask"]
        if not np.isfinite(gradient).all():
            return wrong("gradient-not-finite")
        if np.any(gradient[~mask] != 0):
            return wrong("gradient-on-padding", 0.0, float(np.abs(gradient[~mask]).max()))
        if np.any(gradient[mask] == 0):
            return wrong("gradient-missing")
        return None
