"""Checks of `looks-ahead`: whether a model sees the future."""

import numpy as np
import torch
from torch import nn

from course.check import Check, number, wrong

VOCABULARY = 11


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
