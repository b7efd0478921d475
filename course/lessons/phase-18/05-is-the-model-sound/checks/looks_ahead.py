"""Checks of `looks-ahead`: whether a model sees the future."""

import numpy as np
import torch
from torch import nn

from course.afterwards import go_on
from course.check import Check, array, close, number, wrong

VOCABULARY = 11


class Mixer(nn.Module):
    """Logits at t from embeddings at every s ≤ t, by two tables in turn; some may read what lies ahead.

    A table reads ahead in channels that nothing uses, so a look at the tables does not tell what a look at
    the logits tells.
    """

    def __init__(self, first, second, dropout):
        super().__init__()
        self.register_buffer("first", torch.tensor(first, dtype=torch.float32))  # (C, T, T)
        self.register_buffer("second", torch.tensor(second, dtype=torch.float32))  # (T, T)
        channels = first.shape[0]
        self.wte = nn.Embedding(VOCABULARY, 2 * channels)
        self.drop = nn.Dropout(dropout)
        self.mlp = nn.Linear(2 * channels, 2 * channels)
        self.head = nn.Linear(2 * channels, VOCABULARY)
        with torch.no_grad():
            self.mlp.weight[:, torch.arange(2 * channels) % channels < channels // 2] = 0.0  # idle ones

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.drop(self.wte(tokens)).unflatten(2, (2, -1))  # (B, T, 2, C)
        x = torch.einsum("cts,bsdc->btdc", self.first[:, :length, :length], x).flatten(2)
        x = torch.tanh(self.mlp(x))
        x = torch.einsum("ts,bsc->btc", self.second[:length, :length], x)
        return self.head(torch.tanh(x))  # (B, T, V)


class _LooksAhead(Check):
    answer = "looks_ahead"

    def _case(self, rng, leaks=(), dropout=0.0, training=False):
        length, channels = 8, 4
        first = np.tril(rng.uniform(0.3, 1.0, (channels, length, length)))
        second = np.tril(rng.uniform(0.3, 1.0, (length, length)))
        idle = slice(0, channels // 2)
        first[idle] += np.triu(rng.uniform(0.3, 1.0, first[idle].shape), 1)
        table = second if rng.random() < 0.5 else first[channels // 2 :]
        for t, s, strength in leaks:
            table[..., t, s] = strength
        tokens = rng.integers(0, VOCABULARY, (2, length))
        flags = {"dropout": dropout, "training": training, "leaks": bool(leaks)}
        return {"first": first, "second": second, "tokens": tokens, "seed": int(rng.integers(2**31))} | flags

    def contrasts(self, rng, cases):
        flags = {"dropout": cases[0]["dropout"], "training": cases[0]["training"]}
        yield self._case(rng, **flags)
        yield self._case(rng, [(t, s, 1.0) for t in range(8) for s in range(t + 1, 8)], **flags)

    def _model(self, case):
        torch.manual_seed(case["seed"])
        return Mixer(case["first"], case["second"], case["dropout"])

    def probe(self, answer, case):
        model = self._model(case).train(case["training"])
        return {"said": number(answer(model, torch.tensor(case["tokens"])))}

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
        case = self._case(rng, [(4, 5, 1.0)])
        case["tokens"][:, 5] = 0  # whoever swaps it for 0 swaps nothing
        yield case

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
    """Whoever trains on with the model finds it as it was: that step of theirs is compared."""

    name = "looks-ahead/tidy"

    def cases(self, rng):
        more = {"next": rng.integers(0, VOCABULARY, (2, 8)), "next_seed": int(rng.integers(2**31))}
        yield self._case(rng, dropout=0.5, training=True) | more
        yield self._case(rng, dropout=0.5) | more

    def contrasts(self, rng, cases):
        for case in super().contrasts(rng, cases):
            yield cases[0] | case

    def probe(self, answer, case):
        model, tokens = self._model(case).train(case["training"]), torch.tensor(case["tokens"])
        said = number(answer(model, tokens))
        found = go_on(answer, model, case["next"], case["next_seed"])
        other = go_on(None, self._model(case).train(not case["training"]), case["next"], case["next_seed"])
        right = go_on(None, self._model(case).train(case["training"]), case["next"], case["next_seed"])
        return {"said": said, "found": found, "right": right, "other": other, "tokens": array(tokens)}

    def gist(self, output):
        return output["said"]

    def judge(self, case, output):
        found, right, other = (output[name] for name in ("found", "right", "other"))
        if close(found["output"], other["output"]):
            return wrong("mode-not-restored" if case["training"] else "mode-changed")
        if not close(output["tokens"], case["tokens"].astype(float)):
            return wrong("tokens-changed")
        if not close(found["output"], right["output"]):
            return wrong("weights-moved")
        if not all(close(found["gradient"].get(name), part) for name, part in right["gradient"].items()):
            return wrong("gradients-left")
        if output["said"] != 0.0:
            return wrong("dropout-accused", False, True)
        return None
