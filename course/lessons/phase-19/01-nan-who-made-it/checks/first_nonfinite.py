"""Checks of `first-nonfinite`: the first module with finite inputs and an output that is not."""

import numpy as np
import torch
from torch import nn

from course.afterwards import go_on
from course.check import Check, close, given, wrong

VOCABULARY, WIDTH = 9, 6
NAMES = ("east", "west", "north", "south", "upper", "lower", "left", "right")


class Stage(nn.Module):
    """A linear layer, and something that may go wrong, before it or after it; perhaps more outputs."""

    def __init__(self, fault, pair):
        super().__init__()
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.act = Act(fault == "child")
        self.fault, self.pair = fault, pair

    def forward(self, x, state=None):
        if isinstance(x, tuple | list):
            x = x[0]
        if state is not None:
            x = x + state
        if self.fault == "before":  # in the stage's own lines: its layer is then handed a NaN
            x = x + (x - x) / (x - x)
        y = self.act(self.proj(x))
        if self.fault == "infinite":
            y = y + torch.full_like(y, 1e30) * 1e30
        if self.fault == "one":  # of all its numbers
            at = torch.arange(y.numel()).view(y.shape) == y.numel() // 2
            y = torch.where(at, torch.inf, y)
        kept = torch.zeros(1) / (0.0 if self.fault == "state" else 1.0)
        if self.pair == "nested":
            return [y, (torch.zeros(1), [kept])]
        return (y, kept) if self.pair else y


class Act(nn.Module):
    """tanh, or a logarithm of it."""

    def __init__(self, logarithm):
        super().__init__()
        self.logarithm = logarithm

    def forward(self, x):
        return torch.log(torch.tanh(x) - 2) if self.logarithm else torch.tanh(x)


class Chain(nn.Module):
    """Token ids (B, T) through an embedding and named stages; `faults` says what is wrong in each."""

    def __init__(self, names, faults, pair):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, WIDTH)
        self.drop = nn.Dropout(0.5)
        stages = {name: Stage(fault, pair) for name, fault in zip(names, faults, strict=True)}
        self.stages = nn.ModuleDict(stages)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens):
        x = self.drop(self.wte(tokens))
        for stage in self.stages.values():
            handed = torch.full((1,), torch.nan) if stage.fault == "handed" else None  # in these lines here
            x = stage(x, handed)
        return self.head(x[0] if isinstance(x, tuple | list) else x)


class _First(Check):
    answer = "first_nonfinite"
    kinds = ()  # the fault of each case
    pair = ""

    def _case(self, rng, kind, training=False, pair=None):
        names = [str(name) for name in rng.choice(NAMES, 4, replace=False)]
        place = int(rng.integers(0, 3))
        faults = [kind if index == place else "" for index in range(4)]
        if kind:  # a second one, further on, is not the first
            faults[3] = "before"
        known = {"": None, "child": f"stages.{names[place]}.act", "handed": ""}
        expected = known.get(kind, f"stages.{names[place]}")
        return {
            "names": names,
            "faults": faults,
            "tokens": rng.integers(0, VOCABULARY, (2, 5)),
            "pair": self.pair if pair is None else pair,
            "kind": kind,
            "training": training,
            "expected": expected,
        }

    def cases(self, rng):
        for kind in self.kinds:
            yield self._case(rng, kind)
            yield self._case(rng, kind)

    def _model(self, case):
        return Chain(case["names"], case["faults"], case["pair"]).train(case["training"])

    def probe(self, answer, case):
        return self._named(answer(self._model(case), torch.tensor(case["tokens"])))

    def _named(self, name):
        return {"name": name if name is None else str(given(name))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["name"]
        if actual == expected:
            return None
        shown = [repr(name) if name == "" else str(name) for name in (expected, actual)]
        return wrong(self._slip(expected, actual, case["kind"]), *shown)

    def _slip(self, expected, actual, kind):
        if expected is None:
            return "false-alarm"
        if kind == "handed":
            return "second-input" if actual else "whole-model"
        if actual is None:
            return "not-found"
        if actual.startswith(f"{expected}.") or actual == "wte":
            return "innocent-child"
        if actual in ("", "head") or expected.startswith(f"{actual}."):
            return "outermost"
        return "other-module"


class Leaf(_First):
    name = "first-nonfinite/leaf"
    kinds = ("child",)


class Inside(_First):
    """The NaN arises in the module's own lines; the layers it calls only pass it on."""

    name = "first-nonfinite/inside"
    kinds = ("before", "handed")


class Kinds(_First):
    """Infinity counts as well, one number among many too, and an output may be a tuple, with lists inside."""

    name = "first-nonfinite/kinds"
    kinds = ("infinite", "child")
    pair = "pair"

    def cases(self, rng):
        yield from super().cases(rng)
        yield self._case(rng, "one")
        for pair in ("pair", "nested"):
            yield self._case(rng, "state", pair=pair)

    def _slip(self, expected, actual, kind):
        keys = {"infinite": "only-nan", "one": "one-number-unseen", "state": "part-unseen"}
        return keys.get(kind, "tuple-passed-over")


class Healthy(_First):
    name = "first-nonfinite/healthy"
    kinds = ("",)

    def contrasts(self, rng, cases):
        yield self._case(rng, "child")


class Tidy(_First):
    """Whoever trains on with the model finds it as it was: their next step is compared."""

    name = "first-nonfinite/tidy"
    allow_nonfinite = True

    def cases(self, rng):
        for training in (True, True, False):
            case = self._case(rng, "child", training=training)
            yield case | {"next": rng.integers(0, VOCABULARY, (2, 5)), "next_seed": int(rng.integers(2**31))}

    def probe(self, answer, case):
        model, fresh = self._model(case), self._model(case)
        found = self._named(answer(model, torch.tensor(case["tokens"])))
        for name, who, which in (("found", answer, model), ("right", None, fresh)):
            whole = go_on(who, which, case["next"], case["next_seed"])
            dropped = go_on(who, which, np.ones((4, 50), np.float32), case["next_seed"], part="drop")
            found[name] = {"calls": whole["calls"], "dropped": dropped["output"]}
        return found

    def gist(self, output):
        return output["name"]

    def judge(self, case, output):
        found, right = output["found"], output["right"]
        if found["calls"] != right["calls"]:
            return wrong("hooks-left", 0, len(found["calls"]) - len(right["calls"]))
        if not close(found["dropped"], right["dropped"]):
            return wrong("mode-changed" if case["training"] else "mode-changed-too")
        return super().judge(case, output)
