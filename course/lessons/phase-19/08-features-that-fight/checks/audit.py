"""Checks of `audit`: who wrote the weights between two steps of the optimizer."""

import torch
from torch import nn

from course.check import Check, given, wrong

NAMES = ("wte", "fc", "c_fc", "head")  # one name lies within another


class Update:
    """What an optimizer does: it moves every tensor."""

    @torch.no_grad()
    def __call__(self, model):
        for number, weight in enumerate(model.parameters()):
            weight.mul_(0.9).add_(0.01 * (number + 1))


class Writes:
    """What happens between two steps: (tensor, kind of write) for each."""

    def __init__(self, writes):
        self.writes = writes

    @torch.no_grad()
    def __call__(self, model):
        weights = dict(model.named_parameters())
        for name, kind in self.writes:
            weight = weights[f"{name}.weight"]
            if kind == "add":
                weight.add_(0.5)
            elif kind == "row":
                weight[-1].add_(0.5)
            elif kind == "swap":
                weight.copy_(weight.flip(0))
            elif kind == "sign":
                weight.neg_()
            else:
                weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))


def _named(case, skip=()):
    """The tensors written between steps, without the declared ones and those of some kinds."""
    return [
        [
            f"{name}.weight"
            for name in NAMES
            if f"{name}.weight" not in case["declared"]
            and any(written == name and kind not in skip for written, kind in step)
        ]
        for step in case["steps"]
    ]


class _Audit(Check):
    answer = "audit"

    def _case(self, rng, steps, declared=()):
        weights = [rng.normal(0, 1, (3, 5)) for _ in NAMES]
        return {"weights": weights, "steps": steps, "declared": [f"{name}.weight" for name in declared]}

    def probe(self, answer, case):
        model = nn.ModuleDict({name: nn.Linear(5, 3, bias=False) for name in NAMES})
        for weight, values in zip(model.parameters(), case["weights"], strict=True):
            weight.data = torch.tensor(values, dtype=torch.float32)
        steps = [(Update(), Writes(step)) for step in case["steps"]]
        found = given(answer(model, steps, list(case["declared"])))
        if not isinstance(found, list | tuple):
            return {"found": str(found)}
        return {"found": [list(names) if isinstance(names, list | tuple) else str(names) for names in found]}

    def _by_part(self, case):
        """Without those whose name holds a declared one."""
        declared = [
            f"{name}.weight" for name in NAMES if any(d in f"{name}.weight" for d in case["declared"])
        ]
        return _named(case | {"declared": declared})

    def judge(self, case, output):
        expected, actual = _named(case), output["found"]
        if isinstance(actual, list) and all(isinstance(names, list) for names in actual):
            actual = [sorted(names, key=str) for names in actual]
        if actual == [sorted(names) for names in expected]:
            return None
        everything = [f"{name}.weight" for name in NAMES]
        slips = {
            "all-excused": [[] if case["declared"] else names for names in expected],
            "nothing-seen": [[] for _ in case["steps"]],
            "declared-accused": _named(case | {"declared": []}),
            "excused-by-a-part": self._by_part(case),
            "row-unseen": _named(case, skip=("row",)),
            "swap-unseen": _named(case, skip=("swap",)),
            "nearly-equal": _named(case, skip=("bit",)),
            "norm-blind": _named(case, skip=("swap", "sign", "bit")),
            "optimizer-accused": [
                [name for name in everything if name not in case["declared"]] for _ in case["steps"]
            ],
        }
        key = next((k for k, slip in slips.items() if actual == [sorted(n) for n in slip]), "audit-off")
        return wrong(key, str(expected), str(actual))


class Named(_Audit):
    name = "audit/named"

    def cases(self, rng):
        first, second = rng.permutation(NAMES)[:2].tolist()
        yield self._case(rng, [[[first, "add"]], [], [[second, "add"], [first, "add"]]])
        yield self._case(rng, [[], [[second, "add"]], []])


class AnyChange(_Audit):
    name = "audit/any-change"

    def cases(self, rng):
        a, b, c = rng.permutation(NAMES)[:3].tolist()
        yield self._case(rng, [[[a, "swap"], [b, "add"]], [[c, "sign"], [b, "add"]]])
        yield self._case(rng, [[[b, "bit"], [c, "add"]], [[a, "bit"]], [[a, "add"]]])
        yield self._case(rng, [[[a, "row"], [b, "add"]], [[c, "row"]], []])


class Declared(_Audit):
    name = "audit/declared"

    def cases(self, rng):
        a, b, c = rng.permutation(NAMES)[:3].tolist()
        yield self._case(rng, [[[a, "add"], [b, "add"]], [[a, "add"]], [[c, "add"]]])
        yield self._case(rng, [[[a, "add"], [b, "add"]], [[a, "add"]], [[b, "add"]]], declared=[a])
        yield self._case(rng, [[[c, "add"], [b, "add"]], [[b, "add"], [a, "add"]]], declared=[b, c])
        yield self._case(
            rng, [[["fc", "add"], ["c_fc", "add"], ["head", "add"]], [["c_fc", "add"]]], declared=["fc"]
        )
