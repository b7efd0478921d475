"""Checks of lesson 18-03: a global norm, clipping by it, a spike finder, a training step in order."""

import math

import numpy as np
import torch

from course.check import Check, array, close, number, wrong


def _tensors(rng, count):
    """Gradients of different shapes; the longest is neither first nor last, one of the first four is tiny."""
    shapes = [(7, 5), (11,), (3, 4, 2), (6, 6), (2,)]
    first, third, fourth = rng.permutation([0.03, 0.7, 1.5])
    sizes = (first, 8.0, third, fourth, 3.0)
    drawn = zip(shapes[:count], sizes, strict=False)
    return [np.round(size * rng.standard_normal(shape), 3) for shape, size in drawn]


def _norm(tensors):
    return math.sqrt(sum(float((tensor**2).sum()) for tensor in tensors))


class _GlobalNorm(Check):
    answer = "global_norm"

    def probe(self, answer, case):
        tensors = [None if part is None else torch.tensor(part) for part in case["tensors"]]
        return {"norm": number(answer(tensors))}

    def judge(self, case, output):
        tensors = [part for part in case["tensors"] if part is not None]
        expected, actual = _norm(tensors), output["norm"]
        if close(actual, expected):
            return None
        if not tensors:
            return wrong("nothing-is-zero", 0.0, actual)
        norms = [_norm([tensor]) for tensor in tensors]
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
        yield {"tensors": _tensors(rng, 1)}


class ManyTensors(_GlobalNorm):
    name = "global-norm/many"

    def cases(self, rng):
        yield {"tensors": _tensors(rng, 3)}
        yield {"tensors": _tensors(rng, 5)}


class Missing(_GlobalNorm):
    name = "global-norm/missing"

    def cases(self, rng):
        first, second, third = _tensors(rng, 3)
        yield {"tensors": [None, first, None, second, third]}
        yield {"tensors": []}


class _Clip(Check):
    """Parameters with the case's gradients; what they are afterwards, and what the answer returned."""

    answer = "clip_gradients"
    needs_return = False

    def probe(self, answer, case):
        parameters = [torch.nn.Parameter(torch.zeros(np.shape(part))) for part in case["gradients"]]
        for parameter, part in zip(parameters, case["gradients"], strict=True):
            parameter.grad = torch.tensor(part, dtype=torch.float32)
        parameters.append(torch.nn.Parameter(torch.zeros(3)))  # it took no part: its gradient is None
        given = (parameter for parameter in parameters) if case.get("lazy") else parameters
        returned = answer(given, case["max_norm"])
        after = [array(parameter.grad) for parameter in parameters[:-1]]
        return {"after": after, "returned": number(returned) if self.needs_return else None}


def _how_clipped(before, after, max_norm):
    """The misconception behind gradients that should have a norm of `max_norm` now, or None."""
    norm = _norm(before)
    if all(close(a, b * max_norm / norm, rtol=1e-3) for a, b in zip(after, before, strict=True)):
        return None
    slips = {
        "not-in-place": before,
        "each-alone": [part * min(1.0, max_norm / _norm([part])) for part in before],
        "each-to-the-limit": [part * max_norm / _norm([part]) for part in before],
        "by-value": [np.clip(part, -max_norm, max_norm) for part in before],
        "to-length-one": [part / norm for part in before],
        "turned-round": [part * norm / max_norm for part in before],
    }
    for key, slip in slips.items():
        if all(close(a, b, rtol=1e-3) for a, b in zip(after, slip, strict=True)):
            return key
    return "clipped-off"


class Long(_Clip):
    name = "clip-gradients/long"

    def cases(self, rng):
        for max_norm in (0.5, 2.0):
            yield {"gradients": _tensors(rng, 4), "max_norm": max_norm}

    def judge(self, case, output):
        key = _how_clipped(case["gradients"], output["after"], case["max_norm"])
        return key and wrong(key, case["max_norm"], _norm(output["after"]))


class Short(_Clip):
    name = "clip-gradients/short"

    def cases(self, rng):
        gradients = _tensors(rng, 4)
        yield {"gradients": gradients, "max_norm": round(3 * _norm(gradients), 3)}
        yield {"gradients": [0.001 * part for part in gradients], "max_norm": 1.0}

    def judge(self, case, output):
        before, after = case["gradients"], output["after"]
        if all(close(a, b, rtol=1e-3, atol=1e-9) for a, b in zip(after, before, strict=True)):
            return None
        norm = _norm(after)
        return wrong("scaled-up" if norm > _norm(before) else "shortened", _norm(before), norm)


class Zero(_Clip):
    name = "clip-gradients/zero"
    allow_nonfinite = True

    def cases(self, rng):
        yield {"gradients": [0 * part for part in _tensors(rng, 3)], "max_norm": 1.0}

    def judge(self, case, output):
        norm = _norm(output["after"])
        if norm == 0:
            return None
        return wrong("zero-gives-nan" if math.isnan(norm) else "zero-moved", 0.0, norm)


class Lazy(_Clip):
    name = "clip-gradients/generator"

    def cases(self, rng):
        yield {"gradients": _tensors(rng, 4), "max_norm": 1.0, "lazy": True}

    def judge(self, case, output):
        norm = _norm(output["after"])
        untouched = close(norm, _norm(case["gradients"]), rtol=1e-3)  # the rest is the other checks' affair
        return wrong("generator-used-up", case["max_norm"], norm) if untouched else None


class Returned(_Clip):
    name = "clip-gradients/returns"
    needs_return = True

    def cases(self, rng):
        gradients = _tensors(rng, 4)
        yield {"gradients": gradients, "max_norm": 1.5}
        yield {"gradients": [0.01 * part for part in gradients], "max_norm": 4.0}

    def judge(self, case, output):
        norm, actual, limit = _norm(case["gradients"]), output["returned"], case["max_norm"]
        if close(actual, norm, rtol=1e-3):
            return None
        after = norm > limit and close(actual, limit, rtol=1e-3)
        return wrong("norm-after" if after else "not-the-norm", norm, actual)


def _calm(rng, steps, level=1.0):
    """Norms that scatter by at most a factor of 1.5 around a level that drifts slowly."""
    drift = np.exp(np.linspace(0, rng.uniform(-0.3, 0.3), steps))
    return np.round(level * drift * np.exp(rng.uniform(-0.4, 0.4, steps)), 4)


class _Spikes(Check):
    answer = "find_spikes"

    def probe(self, answer, case):
        return {"steps": array(answer([float(norm) for norm in case["norms"]]))}

    def judge(self, case, output):
        expected, actual = case["spikes"], output["steps"]
        if actual.shape == (len(expected),) and sorted(actual.tolist()) == expected:
            return None
        if actual.shape == (len(case["norms"]),):
            return wrong("a-flag-a-step", expected, None)
        if actual.ndim == 0:
            return wrong("a-count", expected, float(actual))
        found = sorted(actual.ravel().tolist())
        if expected and found == [step + 1 for step in expected]:
            return wrong("counted-from-one", expected, found)
        norms = [case["norms"][step] for step in expected]
        if expected and close(np.array(found), np.sort(norms)):
            return wrong("norms-not-steps", expected, found)
        return wrong(self._slip(expected, found), expected, found)

    second = "spike-missed"  # what it means that only the first of two spikes was found

    def _slip(self, expected, found):
        if len(expected) == 2 and found == expected[:1]:
            return self.second
        return "spike-missed" if set(expected) - set(found) else "false-alarm"


class One(_Spikes):
    name = "find-spikes/one"

    def cases(self, rng):
        for factor in (9.0, 40.0):
            norms, step = _calm(rng, 80, float(rng.choice([0.3, 2.0]))), int(rng.integers(30, 75))
            norms[step] *= factor
            yield {"norms": norms, "spikes": [step]}


class Calm(_Spikes):
    """A healthy run: it starts high and falls to a fiftieth, and nothing in it is a spike."""

    name = "find-spikes/calm"

    def cases(self, rng):
        yield {"norms": _calm(rng, 120), "spikes": []}
        fall = np.exp(-np.linspace(0, 4, 120))
        yield {"norms": np.round(float(rng.uniform(5, 8)) * fall * _calm(rng, 120), 4), "spikes": []}

    def _slip(self, expected, found):
        return "start-is-no-spike" if max(found) < 60 else "noise-is-no-spike"


class Behind(_Spikes):
    """A spike that drags a mean up, and a smaller one within the next twenty steps."""

    name = "find-spikes/behind"
    second = "hides-behind"

    def cases(self, rng):
        norms, step = _calm(rng, 90), int(rng.integers(30, 60))
        later = step + int(rng.integers(4, 15))
        norms[step] *= 300
        norms[later] *= 11
        yield {"norms": norms, "spikes": [step, later]}


class NotFinite(_Spikes):
    name = "find-spikes/nan"
    second = "nan-poisons"

    def cases(self, rng):
        for poison in (math.nan, math.inf):
            norms, step = _calm(rng, 80), int(rng.integers(30, 50))
            later = step + int(rng.integers(4, 15))
            norms[step] = poison
            norms[later] *= 30
            yield {"norms": norms, "spikes": [step, later]}

    def _slip(self, expected, found):
        return super()._slip(expected, found) if expected[0] in found else "nan-missed"


class _Recorder(torch.optim.SGD):
    """SGD that writes down the gradients it is given."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, lr=lr)
        self.seen = []

    def step(self, closure=None):
        gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        self.seen.append([None if g is None else array(g) for g in gradients])
        return super().step(closure)


def _drawn(rng, micros):
    """Micro-batches for a linear model with 6 inputs and 4 classes, and its weights."""
    return {
        "weight": np.round(rng.standard_normal((4, 6)), 3),
        "inputs": np.round(3 * rng.standard_normal((micros, 5, 6)), 3),
        "targets": rng.integers(0, 4, (micros, 5)),
    }


def _gradients(case):
    """The gradient of each micro-batch alone, (micros, 4, 6): (softmax − one-hot) · input, averaged."""
    scores = np.exp(case["inputs"] @ case["weight"].T)
    errors = scores / scores.sum(-1, keepdims=True) - np.eye(4)[case["targets"]]
    return np.einsum("mbc,mbi->mci", errors, case["inputs"]) / errors.shape[1]


class _Step(Check):
    answer = "training_step"
    calls = 1
    needs_return = False

    def probe(self, answer, case):
        model = torch.nn.Linear(6, 4, bias=False)
        model.weight.data = torch.tensor(case["weight"], dtype=torch.float32)
        optimizer = _Recorder(model.parameters(), lr=case["lr"])
        inputs = torch.tensor(case["inputs"], dtype=torch.float32)
        batches = list(zip(inputs, torch.tensor(case["targets"]), strict=True))
        returned = [answer(model, optimizer, batches, case["max_norm"]) for _ in range(self.calls)]
        seen = [gradients[0] for gradients in optimizer.seen]
        norm = number(returned[0]) if self.needs_return else None
        return {"steps": seen, "norm": norm}

    def judge(self, case, output):
        steps = output["steps"]
        if len(steps) != self.calls:
            return wrong("steps-per-call", 1, len(steps) / self.calls)
        if any(step is None or not np.any(step) for step in steps):
            return wrong("cleared-too-early")
        return self._judge(case, [np.asarray(step) for step in steps], output)

    def _judge(self, case, steps, output):
        raise NotImplementedError


class Mean(_Step):
    name = "training-step/mean"

    def cases(self, rng):
        yield _drawn(rng, 1) | {"max_norm": 1e6, "lr": 0.0, "micros": 1}
        yield _drawn(rng, 4) | {"max_norm": 1e6, "lr": 0.0, "micros": 4}

    def _judge(self, case, steps, output):
        each, actual = _gradients(case), steps[0]
        if close(actual, each.mean(0), rtol=1e-3, atol=1e-5):
            return None
        slips = {
            "only-the-last": each[-1],
            "only-the-last-and-divided": each[-1] / len(each),
            "only-the-first": each[0],
            "sum-of-micro-batches": each.sum(0),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=1e-3, atol=1e-5)), None)
        return wrong(key or "gradient-off", _norm([each.mean(0)]), _norm([actual]))


class Fresh(_Step):
    name = "training-step/fresh"
    calls = 3

    def cases(self, rng):
        yield _drawn(rng, 2) | {"max_norm": 1e6, "lr": 0.0}

    def _judge(self, case, steps, output):
        first, last = _norm([steps[0]]), _norm([steps[-1]])
        if close(last, first, rtol=1e-3):
            return None
        return wrong("gradient-carried" if close(last, 3 * first, rtol=1e-3) else "steps-differ", first, last)


class Clipped(_Step):
    name = "training-step/clipped"

    def cases(self, rng):
        yield _drawn(rng, 4) | {"max_norm": 0.05, "lr": 1.0}

    def _judge(self, case, steps, output):
        each, limit, norm = _gradients(case), case["max_norm"], _norm([steps[0]])
        if norm > 1.01 * limit:
            return wrong("clip-too-late", limit, norm)
        whole = (each.mean(0), each[0], each[-1])  # which micro-batches count is the first check's affair
        if any(close(steps[0], part * limit / _norm([part]), rtol=1e-2, atol=1e-4) for part in whole):
            return None
        return wrong("clip-each-micro-batch")


class StepReturns(_Step):
    name = "training-step/returns"
    needs_return = True

    def cases(self, rng):
        yield _drawn(rng, 1) | {"max_norm": 0.05, "lr": 0.1}

    def _judge(self, case, steps, output):
        expected, actual = _norm([_gradients(case)[0]]), output["norm"]
        if close(actual, expected, rtol=1e-3):
            return None
        return wrong("norm-after" if close(actual, 0.05, rtol=1e-2) else "not-the-norm", expected, actual)
