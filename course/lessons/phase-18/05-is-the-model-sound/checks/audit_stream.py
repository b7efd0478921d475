"""Checks of `audit-stream`: what each block writes into the residual stream."""

import numpy as np
import torch

from course.afterwards import go_on
from course.check import Check, array, close, wrong
from minigpt import Config
from minigpt.model.gpt import build_model, init_weights


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

    def contrasts(self, rng, cases):
        for case in cases:
            yield case | {"seed": int(rng.integers(2**31))}

    def probe(self, answer, case):
        model, tokens = _deep(case)
        return {
            "truth": _true_stream(case),  # here, where nobody else draws from torch's generator meanwhile
            "pairs": array(answer(model, tokens)),
        }

    def gist(self, output):
        return output["pairs"]

    def judge(self, case, output):
        pairs, truth = output["pairs"], output["truth"]
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


class _Afterwards(_Stream):
    """Whoever trains on with the model finds it as it was: that step of theirs is compared."""

    def cases(self, rng):
        for case in super().cases(rng):
            yield case | {"next": rng.integers(0, 300, (2, 12)), "next_seed": int(rng.integers(2**31))}

    def probe(self, answer, case):
        model, tokens = _deep(case)
        pairs = array(answer(model, tokens))
        found = go_on(answer, model, case["next"], case["next_seed"])
        right = go_on(None, _deep(case)[0], case["next"], case["next_seed"])
        return {"truth": _true_stream(case), "pairs": pairs, "found": found, "right": right}


class Dropout(_Afterwards):
    name = "audit-stream/dropout"
    dropout, training = 0.5, True

    def cases(self, rng):
        yield from super().cases(rng)
        yield next(super().cases(rng)) | {"training": False}

    def _judge(self, case, output, pairs, truth):
        if not close(output["found"]["output"], output["right"]["output"]):
            return wrong("mode-not-restored" if case["training"] else "mode-changed")
        # against itself: whether it measures the right thing is the business of the checks before
        right = close(pairs[:, 0], truth[:, 0], rtol=2e-3) or close(pairs[:, 0], truth[:, 4], rtol=2e-3)
        return None if right or close(pairs[:, 0], truth[:, 5], rtol=2e-3) else wrong("with-dropout")


class Clean(_Afterwards):
    name = "audit-stream/clean"

    def _judge(self, case, output, pairs, truth):
        found, right = output["found"], output["right"]
        if found["calls"] != right["calls"]:
            return wrong("hooks-left", 0, len(found["calls"]) - len(right["calls"]))
        if all(close(found["gradient"].get(name), part) for name, part in right["gradient"].items()):
            return None
        return wrong("gradients-left")
