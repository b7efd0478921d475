"""Checks of lesson 18-05: weights against their role, the residual stream, and a look into the future."""

import math

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong
from minigpt.config import Config
from minigpt.model import build_model, expected_std, init_weights

NOISE = 3.0  # standard errors that a mean may be off by chance
VOCABULARY = 11


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
    drawn = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            drawn[name] = np.full(parameter.shape, 0.0 if name.endswith("bias") else 1.0)
            continue
        noise = rng.normal(size=tuple(parameter.shape))
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        errors = _of(case["shifts"], name, NOISE) / math.sqrt(noise.size)
        factor = _of(case["factors"], name, 1.0)
        drawn[name] = (noise + errors) * factor * expected_std(name, config)
    return drawn


def _of(table, name, otherwise):
    return next((value for end, value in table.items() if name.endswith(end)), otherwise)


class _Weights(Check):
    answer = "audit_weights"

    def _case(self, rng, factors=None, shifts=None, unscaled=False):
        layers, std = int(rng.choice([3, 6])), float(rng.choice([0.02, 0.03]))
        factors = {"c_proj.weight": math.sqrt(2 * layers)} if unscaled else factors or {}
        case = {"n_layer": layers, "init_std": std, "factors": factors, "shifts": shifts or {}}
        return case | {"weights": _drawn(case, rng)}

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
            expected |= {n: word for n in shapes if shapes[n] > 1 and _of(table, n, None) is not None}
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
        if name.endswith("c_proj.weight"):
            return "residual-missed"
        return "narrow-missed" if _of(case["factors"], name, 1.0) < 1 else "wide-missed"


class Healthy(_Weights):
    name = "audit-weights/healthy"

    def cases(self, rng):
        yield self._case(rng)
        yield self._case(rng)


class Scale(_Weights):
    name = "audit-weights/scale"

    def cases(self, rng):
        yield self._case(rng, factors={"wte.weight": 4.0, "1.mlp.c_fc.weight": 1.6})
        yield self._case(rng, factors={"0.attn.c_attn.weight": 0.4, "wpe.weight": 0.1})


class Residual(_Weights):
    name = "audit-weights/residual"

    def cases(self, rng):
        yield self._case(rng, unscaled=True)
        yield self._case(rng, factors={"2.attn.c_proj.weight": math.sqrt(2)})


class Mean(_Weights):
    """Twelve standard errors in a large matrix are a smaller shift than noise in the 8 × 8 one."""

    name = "audit-weights/mean"

    def cases(self, rng):
        yield self._case(rng, shifts={"wte.weight": -12.0})
        yield self._case(rng, shifts={"1.mlp.c_fc.weight": 12.0, "small.weight": 7.0})


def _deep(case):
    """A small GPT, its stream off centre, its blocks loud enough to tell one measure from another."""
    config = Config(
        n_layer=case["n_layer"], n_embd=16, n_head=2, context=12, dropout=case["dropout"], vocab_size=300
    )
    model = build_model(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case["seed"])
        init_weights(model, config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("c_proj.weight"):
                    parameter.mul_(10.0)
            model.wte.weight.add_(0.05)
    return model.train(case["training"]), torch.tensor(case["tokens"])


def _true_stream(case):
    """Return (size, write) of every block, and its absolute write and the size of what it read."""
    model, tokens = _deep(case)
    rows = []

    def look(block, arguments, output):
        read, left = arguments[0], output
        rms = [part.square().mean().sqrt().item() for part in (left, left - read, read)]
        rows.append([rms[0], rms[1] / rms[2], rms[1], rms[2], left.norm().item(), rms[0] ** 2])

    for block in model.h:
        block.register_forward_hook(look)
    with torch.no_grad():
        model.eval()(tokens)
    return np.array(rows)


class _Stream(Check):
    answer = "audit_stream"
    dropout, training = 0.0, False

    def cases(self, rng):
        for _ in range(2):
            tokens = rng.integers(0, 300, (3, 12))
            flags = {"dropout": self.dropout, "training": self.training}
            yield {
                "n_layer": int(rng.integers(3, 6)),
                "seed": int(rng.integers(2**31)),
                "tokens": tokens,
            } | flags

    def probe(self, answer, case):
        model, tokens = _deep(case)
        pairs = array(answer(model, tokens))
        again = answer(model, tokens)
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        gradients = any(parameter.grad is not None for parameter in model.parameters())
        return {
            "pairs": pairs,
            "again": len(again),
            "hooks": hooks,
            "training": model.training,
            "gradients": gradients,
        }

    def judge(self, case, output):
        pairs, truth = output["pairs"], _true_stream(case)
        if pairs.shape != (case["n_layer"], 2):
            return wrong("not-pairs", str((case["n_layer"], 2)), str(pairs.shape))
        return self._judge(case, output, pairs, truth)

    def _named(self, column, right, slips):
        if close(column, right, rtol=2e-3):
            return None
        key = next((key for key, slip in slips.items() if close(column, slip, rtol=2e-3)), "stream-off")
        return wrong(key, right, column)


class Sizes(_Stream):
    name = "audit-stream/sizes"

    def _judge(self, case, output, pairs, truth):
        slips = {"a-norm": truth[:, 4], "no-root": truth[:, 5], "before-the-block": truth[:, 3]}
        return self._named(pairs[:, 0], truth[:, 0], slips)


class Writes(_Stream):
    name = "audit-stream/writes"

    def _judge(self, case, output, pairs, truth):
        left, write, absolute, read = truth[:, :4].T
        slips = {
            "not-relative": absolute,
            "by-what-is-left": absolute / left,
            "growth": left / read,
            "growth-less-one": left / read - 1,
            "difference-of-sizes": np.abs(left - read),
        }
        fault = self._named(pairs[:, 1], write, slips)
        if fault and fault.key.startswith(("growth", "difference")):
            return wrong("growth", fault.expected, fault.actual)
        return fault


class Dropout(_Stream):
    name = "audit-stream/dropout"
    dropout, training = 0.5, True

    def _judge(self, case, output, pairs, truth):
        if not output["training"]:
            return wrong("mode-not-restored")
        # against itself: whether it measures the right thing is the business of the checks before
        right = close(pairs[:, 0], truth[:, 0], rtol=2e-3) or close(pairs[:, 0], truth[:, 4], rtol=2e-3)
        return None if right or close(pairs[:, 0], truth[:, 5], rtol=2e-3) else wrong("with-dropout")


class Clean(_Stream):
    name = "audit-stream/clean"

    def _judge(self, case, output, pairs, truth):
        if output["hooks"] or output["again"] != case["n_layer"]:
            return wrong("hooks-left", 0, output["hooks"])
        return wrong("gradients-left") if output["gradients"] else None


def _mixer(mix, dropout):
    """Logits at t from embeddings at every s by a table mix[t, s]; what lies right of the diagonal leaks."""

    # inside a function, which grading keeps whole; of a class it keeps what probes use
    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mix", torch.tensor(mix, dtype=torch.float32))
            self.wte = nn.Embedding(VOCABULARY, 8)
            self.drop = nn.Dropout(dropout)
            self.head = nn.Linear(8, VOCABULARY)

        def forward(self, tokens):
            length = tokens.shape[1]
            mixed = torch.einsum("ts,bsc->btc", self.mix[:length, :length], self.drop(self.wte(tokens)))
            return self.head(torch.tanh(mixed))  # (B, T, V)

    return Mixer()


class _LooksAhead(Check):
    answer = "looks_ahead"

    def _case(self, rng, leaks=(), dropout=0.0, training=False):
        length = 8
        mix = np.tril(rng.uniform(0.3, 1.0, (length, length)))
        for t, s, strength in leaks:
            mix[t, s] = strength
        tokens = rng.integers(0, VOCABULARY, (2, length))
        flags = {"dropout": dropout, "training": training, "leaks": bool(leaks)}
        return {"mix": mix, "tokens": tokens, "seed": int(rng.integers(2**31))} | flags

    def probe(self, answer, case):
        torch.manual_seed(case["seed"])
        model = _mixer(case["mix"], case["dropout"]).train(case["training"])
        before = [parameter.detach().clone() for parameter in model.parameters()]
        said = number(answer(model, torch.tensor(case["tokens"])))
        after = list(model.parameters())
        return {
            "said": said,
            "training": model.training,
            "gradients": any(parameter.grad is not None for parameter in after),
            "moved": any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)),
        }

    def judge(self, case, output):
        if output["said"] not in (0.0, 1.0):
            return wrong("not-a-bool", actual=output["said"])
        said = bool(output["said"])
        return None if said == case["leaks"] else wrong(self._slip(case), case["leaks"], said)

    def _slip(self, case):
        return "leak-missed" if case["leaks"] else "false-alarm"


class Open(_LooksAhead):
    name = "looks-ahead/open"

    def cases(self, rng):
        every = [(t, s, float(rng.uniform(0.3, 1.0))) for t in range(8) for s in range(t + 1, 8)]
        yield self._case(rng, every)


class Causal(_LooksAhead):
    name = "looks-ahead/causal"

    def cases(self, rng):
        yield self._case(rng)
        yield self._case(rng)


class Narrow(_LooksAhead):
    """One place reads one later place, wherever that is."""

    name = "looks-ahead/narrow"

    def cases(self, rng):
        yield self._case(rng, [(3, 4, 1.0)])
        yield self._case(rng, [(6, 7, 1.0)])
        yield self._case(rng, [(0, 1, 1.0)])

    def _slip(self, case):
        return "pair-missed"


class Weak(_LooksAhead):
    name = "looks-ahead/weak"

    def cases(self, rng):
        every = [(t, s, 1e-3) for t in range(8) for s in range(t + 1, 8)]
        yield self._case(rng, every)

    def _slip(self, case):
        return "too-coarse"


class Tidy(_LooksAhead):
    name = "looks-ahead/tidy"

    def cases(self, rng):
        yield self._case(rng, dropout=0.5, training=True)

    def judge(self, case, output):
        if output["moved"]:
            return wrong("weights-moved")
        if output["gradients"]:
            return wrong("gradients-left")
        if not output["training"]:
            return wrong("mode-not-restored")
        if output["said"] != 0.0:
            return wrong("dropout-accused", False, True)
        return None
