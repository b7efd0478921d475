"""Checks of lesson 18-06: parameter groups, Adam's update, accumulation that equals the big batch."""

import math
from functools import partial

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong
from minigpt.batches import Batch
from minigpt.config import Config
from minigpt.loss import cross_entropy
from minigpt.model import build_model

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


def _moments(rng, shape=(3, 4), size=1.0):
    gradient, m = rng.normal(0, size, shape), rng.normal(0, size, shape)
    gradient += 0.3 * size * np.sign(gradient)  # far from 0, where epsilon would show
    return {"gradient": gradient, "m": m, "v": m**2 + rng.uniform(0.1, 0.5, shape) * size**2}


def _new_moments(case):
    g, beta1, beta2 = case["gradient"], case["beta1"], case["beta2"]
    return beta1 * case["m"] + (1 - beta1) * g, beta2 * case["v"] + (1 - beta2) * g**2


def _update(m, v, case, t):
    """Adam's step from moments that hold this gradient already (Kingma & Ba, 2015, algorithm 1)."""
    m_hat, v_hat = m / (1 - case["beta1"] ** t), v / (1 - case["beta2"] ** t)
    return case["lr"] * m_hat / (np.sqrt(v_hat) + case["eps"])


class _Adam(Check):
    answer = "adam_update"
    betas = (0.9, 0.99)
    eps = 1e-8

    def _case(self, rng, t, **arrays):
        lr = round(float(rng.uniform(0.001, 0.1)), 4)
        return {"t": t, "lr": lr, "beta1": self.betas[0], "beta2": self.betas[1], "eps": self.eps, **arrays}

    def probe(self, answer, case):
        tensors = [torch.tensor(case[name]) for name in ("gradient", "m", "v")]
        returned = answer(*tensors, *(case[name] for name in ("t", "lr", "beta1", "beta2", "eps")))
        if returned is None:
            number(returned)
        if not isinstance(returned, (tuple, list)) or len(returned) != 3:
            return {"three": False}
        shape = case["gradient"].shape
        update, m, v = (array(part, shape) for part in returned)
        return {"three": True, "update": update, "m": m, "v": v}

    def judge(self, case, output):
        if not output["three"]:
            return wrong("not-three")
        return self._judge(case, output)

    def _judge(self, case, output):
        raise NotImplementedError

    def _slip(self, case, output):
        """The misconception behind an update: from the true moments, or from the learner's own."""
        update, late, t = output["update"], case["t"] > 1, case["t"]
        if not np.isfinite(update).all():
            return wrong("not-finite" if late else "counted-from-zero")
        if not np.any(update):
            return wrong("update-zero")
        bases = [_new_moments(case), (output["m"], output["v"])]
        if any(close(update, _update(m, v, case, t)) for m, v in bases):
            return None
        right, factors = _update(*bases[0], case, t), _slips(case)
        key = next((key for key, factor in factors.items() if close(update, right * factor)), None)
        for other, name in ((t + 1, "counted-one-more"), (t - 1, "counted-one-less")):
            if other and close(update, _update(*bases[0], case, other)):
                key = name
        root = np.sqrt(bases[0][1] / (1 - case["beta2"] ** t))
        if close(update, right / root):
            key = "no-root"
        return wrong(key or "update-off", right[0], update[0])


def _slips(case):
    """By slip, how many times too large it makes every update."""
    correction1, correction2 = 1 - case["beta1"] ** case["t"], 1 - case["beta2"] ** case["t"]
    return {
        "not-corrected": correction1 / math.sqrt(correction2),
        "m-not-corrected": correction1,
        "v-not-corrected": 1 / math.sqrt(correction2),
        "wrong-sign": -1.0,
        "no-lr": 1 / case["lr"],
    }


class Moments(_Adam):
    name = "adam-update/moments"

    def cases(self, rng):
        for t in (int(rng.integers(3, 9)), int(rng.integers(20, 60))):
            yield self._case(rng, t, **_moments(rng))

    def _judge(self, case, output):
        g, b1, b2 = case["gradient"], case["beta1"], case["beta2"]
        m, v = _new_moments(case)
        slips = {
            "corrected-kept": (m / (1 - b1 ** case["t"]), v / (1 - b2 ** case["t"])),
            "moment-unchanged": (case["m"], case["v"]),
            "gradient-whole": (b1 * case["m"] + g, b2 * case["v"] + g**2),
            "weights-swapped": ((1 - b1) * case["m"] + b1 * g, (1 - b2) * case["v"] + b2 * g**2),
            "betas-swapped": (b2 * case["m"] + (1 - b2) * g, b1 * case["v"] + (1 - b1) * g**2),
            "forgets": ((1 - b1) * g, (1 - b2) * g**2),
        }
        for part, right, actual in ((0, m, output["m"]), (1, v, output["v"])):
            if close(actual, right):
                continue
            key = next((key for key, slip in slips.items() if close(actual, slip[part])), None)
            if part == 1 and close(np.abs(actual), np.abs(b2 * case["v"] + (1 - b2) * np.abs(g))):
                key = "not-squared"
            return wrong(key or ("m-off", "v-off")[part], right[0], actual[0])
        return None


class First(_Adam):
    name = "adam-update/first"
    allow_nonfinite = True
    betas = (0.9, 0.999)  # with 0.99 a first update without correction has the right size by chance

    def cases(self, rng):
        zero = np.zeros((3, 4))
        yield self._case(rng, 1, gradient=_moments(rng)["gradient"], m=zero, v=zero)

    def _judge(self, case, output):
        return self._slip(case, output)


class Later(_Adam):
    name = "adam-update/later"

    def cases(self, rng):
        for t in (int(rng.integers(3, 6)), int(rng.integers(8, 20))):
            yield self._case(rng, t, **_moments(rng))

    def _judge(self, case, output):
        return self._slip(case, output)


class Epsilon(_Adam):
    """So late that no correction is left, and with gradients as small as epsilon."""

    name = "adam-update/epsilon"
    allow_nonfinite = True

    def cases(self, rng):
        yield self._case(rng, 100_000, **_moments(rng, size=1e-8))
        zero = np.zeros((3, 4))
        yield self._case(rng, 100_000, gradient=zero, m=zero, v=zero)

    def _judge(self, case, output):
        if not np.isfinite(output["update"]).all():
            return wrong("no-epsilon")
        size, bases = np.abs(output["update"]), [_new_moments(case), (output["m"], output["v"])]

        def is_size(right):  # the sign is the business of the checks before
            return close(size, np.abs(right), rtol=1e-3, atol=1e-12)

        if any(is_size(_update(m, v, case, case["t"])) for m, v in bases) and (
            size.any() or not bases[0][0].any()
        ):
            return None
        if not size.any():
            return wrong("update-zero")
        m, v = bases[0]
        inside, missing = (case["lr"] * m / np.sqrt(v + extra) for extra in (case["eps"], 0.0))
        key = "epsilon-inside" if is_size(inside) else "no-epsilon" if is_size(missing) else "epsilon-off"
        return wrong(key, _update(m, v, case, case["t"])[0], output["update"][0])


def _watched(table):
    """A bigram model: a table of logits for the next token. It counts the rows held for backward."""

    # inside a function, which grading keeps whole; of a class it keeps what probes use
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.tensor(table))
            self.held = self.most = 0

        def forward(self, inputs):
            logits = self.table[inputs]  # (B, T, V)
            if logits.requires_grad:
                self.held += len(inputs)
                self.most = max(self.most, self.held)
                logits.register_hook(partial(self._let_go, len(inputs)))
            return logits

        def _let_go(self, rows, gradient):
            self.held -= rows

    return Watched()


def _micro_batches(rng, lengths, columns=6, vocabulary=5):
    """k micro-batches of 3 rows; of micro-batch i the first lengths[i] targets of each row count."""
    shape = (len(lengths), 3, columns)
    mask = np.broadcast_to(np.arange(columns) < np.array(lengths)[:, None, None], shape)
    return {
        "table": rng.normal(0, 1, (vocabulary, vocabulary)),
        "inputs": rng.integers(0, vocabulary, shape),
        "targets": rng.integers(0, vocabulary, shape),
        "mask": mask.copy(),
        "k": len(lengths),
    }


def _by_hand(case):
    """Return, a row each micro-batch: sum of losses, that sum's gradient, number of counted targets."""
    table, sums, gradients, counts = case["table"], [], [], []
    log_p = table - np.log(np.exp(table).sum(1, keepdims=True))
    for inputs, targets, mask in zip(case["inputs"], case["targets"], case["mask"], strict=True):
        gradient, x, y = np.zeros_like(table), inputs[mask], targets[mask]
        np.add.at(gradient, x, np.exp(log_p[x]))
        np.add.at(gradient, (x, y), -1.0)
        sums.append(-log_p[x, y].sum())
        gradients.append(gradient)
        counts.append(int(mask.sum()))
    return np.array(sums), np.array(gradients), np.array(counts)


class _Accumulate(Check):
    answer = "accumulate"

    def probe(self, answer, case):
        model = _watched(case["table"])
        names = ("inputs", "targets", "mask")
        batches = [Batch(*(torch.tensor(case[name][i]) for name in names)) for i in range(case["k"])]
        value = answer(model, cross_entropy, batches)
        gradient = model.table.grad
        return self._found(value, model, None if gradient is None else array(gradient, case["table"].shape))

    def _found(self, value, model, gradient):
        return {"gradient": gradient}

    def judge(self, case, output):
        gradient = output["gradient"]
        if gradient is None:
            return wrong("no-gradient")
        sums, parts, counts = _by_hand(case)
        k, total, safe = case["k"], counts.sum(), np.maximum(counts, 1)[:, None, None]
        right = parts.sum(0) / total
        if close(gradient, right):
            return None
        means = parts / safe
        slips = {
            "sum-of-means": means.sum(0),
            "mean-of-means": means.mean(0),
            "divided-twice": right / k,
            "nothing-divided": parts.sum(0),
            "padding-divides": parts.sum(0) / case["mask"].size,
            "last-alone": means[-1],
            "last-alone-divided": means[-1] / k,
            "last-alone-weighed": parts[-1] / total,
        }
        key = next((key for key, slip in slips.items() if close(gradient, slip)), None)
        norm, expected = float(np.linalg.norm(gradient)), float(np.linalg.norm(right))
        key = "last-alone" if key and key.startswith("last-alone") else key
        return wrong(key or "gradient-off", expected, norm, ratio=round(norm / expected, 3))


class Equal(_Accumulate):
    name = "accumulate/equal"

    def cases(self, rng):
        yield _micro_batches(rng, [6] * int(rng.integers(3, 6)))
        yield _micro_batches(rng, [6])


class Unequal(_Accumulate):
    name = "accumulate/unequal"

    def cases(self, rng):
        yield _micro_batches(rng, [*rng.permutation([1, 2, 4, 6]).tolist()])
        yield _micro_batches(rng, [5, 0, 2])  # nothing counts in the second one


class Loss(_Accumulate):
    name = "accumulate/loss"

    def cases(self, rng):
        yield _micro_batches(rng, [6, 6, 6])
        yield _micro_batches(rng, [*rng.permutation([1, 2, 4, 6]).tolist()])

    def _found(self, value, model, gradient):
        return {"value": number(value)}

    def judge(self, case, output):
        sums, _, counts = _by_hand(case)
        means, actual = sums / np.maximum(counts, 1), output["value"]
        right = float(sums.sum() / counts.sum())
        if close(actual, right):
            return None
        slips = {
            "loss-mean-of-means": means.mean(),
            "loss-sum": means.sum(),
            "loss-last": means[-1],
            "loss-divided": right / case["k"],
            "loss-total": sums.sum(),
        }
        slips["loss-last-share"] = sums[-1] / counts.sum()
        key = next((key for key, slip in slips.items() if close(actual, slip)), "loss-off")
        return wrong("loss-last" if key == "loss-last-share" else key, right, actual)


class Memory(_Accumulate):
    name = "accumulate/memory"

    def cases(self, rng):
        yield _micro_batches(rng, [6, 3, 6, 5])

    def _found(self, value, model, gradient):
        return {"most": int(model.most), "held": int(model.held)}

    def judge(self, case, output):
        rows = case["inputs"].shape[1]
        if output["most"] == 0 or output["held"] > 0:
            return wrong("no-gradient")
        if output["most"] > rows:
            return wrong("holds-all", rows, output["most"])
        return None
