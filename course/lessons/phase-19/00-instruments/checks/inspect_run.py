"""Checks of `inspect-run`: the RMS of what each leaf module puts out, on the steps that are due."""

import numpy as np
import torch
from torch import nn

from course.afterwards import go_on, noting
from course.check import Check, close, given, number, wrong
from course.kept import Kept

WIDTH = 6
NAMES = ("alpha", "beta", "gamma", "delta", "kappa", "sigma")


class Branch(nn.Module):
    """A linear layer and an activation."""

    def __init__(self, scale):
        super().__init__()
        self.proj, self.act = nn.Linear(WIDTH, WIDTH), nn.Tanh()
        self.scale = scale

    def forward(self, x):
        return self.scale * self.act(self.proj(x))


class Log(Kept):
    """Every run of a model, as it comes: what was put in, what was called on the way, and in which mode."""

    served = ("ran",)

    def __init__(self):
        self.inputs, self.calls, self.modes = [], [], []

    def ran(self, inputs, calls, training):
        self.inputs.append(np.array(inputs, float))
        self.calls.append([str(name) for name in calls])
        self.modes.append(bool(training))


class Chain(nn.Module):
    """Named branches in a row; whenever it runs it says so."""

    def __init__(self, names, scales):
        super().__init__()
        branches = {name: Branch(scale) for name, scale in zip(names, scales, strict=True)}
        self.parts = nn.ModuleDict(branches)
        self.log = Log()

    def forward(self, x):
        inputs, calls = x.detach().numpy(), []
        with noting(calls):
            for part in self.parts.values():
                x = part(x)
        with noting([]):  # what the log itself calls is nobody's hook
            self.log.ran(inputs, calls, self.training)
        return x


class _Inspect(Check):
    answer = "inspect_run"

    def _case(self, rng, steps=5, every=2):
        return {
            "names": [str(name) for name in rng.choice(NAMES, 2, replace=False)],
            "scales": np.round(rng.uniform(1, 50, 2), 2),
            "inputs": np.round(rng.standard_normal((steps, 3, WIDTH)) * rng.uniform(0.1, 3), 3),
            "seed": int(rng.integers(2**31)),
            "every": every,
            "next": np.round(rng.standard_normal((3, WIDTH)), 3).astype(np.float32),
        }

    def cases(self, rng):
        yield self._case(rng, steps=7)
        yield self._case(rng, steps=7, every=3)

    def _model(self, case):
        torch.manual_seed(case["seed"])
        return Chain(case["names"], case["scales"].tolist())

    def probe(self, answer, case):
        model = self._model(case)
        batches = list(torch.tensor(case["inputs"], dtype=torch.float32))
        records = given(answer(model, batches, case["every"]))
        records = {str(s): {str(n): v for n, v in found.items()} for s, found in dict(records).items()}
        plain = {s: {n: number(v) for n, v in found.items()} for s, found in records.items()}
        tensors = any(isinstance(v, torch.Tensor) for found in records.values() for v in found.values())
        runs, calls = np.array(model.log.inputs), list(model.log.calls)
        fresh = self._model(case)
        after, bare = (go_on(*pair, case["next"], 0) for pair in ((answer, model), (None, fresh)))
        own = len(fresh.log.calls[0])
        return {
            "records": plain,
            "tensors": tensors,
            "runs": runs,
            "hooked": [len(each) - own for each in calls],
            "trains": all(model.log.modes),
            "left": len(model.log.calls[-1]) - own + len(after["calls"]) - len(bare["calls"]),
        }

    def _right(self, case):
        model, found = self._model(case), {}
        for step, x in enumerate(torch.tensor(case["inputs"], dtype=torch.float32)):
            for name, part in model.parts.items():
                y = part.proj(x)
                z = part.act(y)
                for kind, value in (("proj", y), ("act", z)):
                    found.setdefault(str(step), {})[f"parts.{name}.{kind}"] = value.detach().double().numpy()
                x = part.scale * z
        return found


class Values(_Inspect):
    name = "inspect-run/values"

    def judge(self, case, output):
        right, records = self._right(case), output["records"]
        for step, names in records.items():
            for name, actual in names.items():
                value = right.get(step, {}).get(name)
                if value is None:
                    continue
                rms = float(np.sqrt((value**2).mean()))
                if abs(actual - rms) > 1e-4 * rms:
                    slips = {
                        "std-not-rms": value.std(),
                        "std-not-rms ": value.std(ddof=1),
                        "mean-of-sizes": np.abs(value).mean(),
                        "norm-not-rms": np.linalg.norm(value),
                        "no-root": rms**2,
                    }
                    near = (key for key, slip in slips.items() if abs(actual - slip) < 1e-4 * abs(slip))
                    return wrong(next(near, "rms-off").strip(), rms, actual, module=name)
        wanted = {name for names in right.values() for name in names}
        seen = {name for names in records.values() for name in names}
        if wanted - seen:
            return wrong("modules-missing", len(wanted), len(wanted & seen))
        return wrong("a-tensor") if output["tensors"] else None


class Due(_Inspect):
    name = "inspect-run/due"

    def judge(self, case, output):
        right = [str(step) for step in range(0, len(case["inputs"]), case["every"])]
        actual = sorted(output["records"], key=int) if all(s.isdigit() for s in output["records"]) else []
        return None if actual == right else wrong("steps-off", ", ".join(right), ", ".join(actual))


class Leaves(_Inspect):
    name = "inspect-run/leaves"

    def judge(self, case, output):
        right = {name for names in self._right(case).values() for name in names}
        for names in output["records"].values():
            more = sorted(set(names) - right)
            if more:
                return wrong("not-a-leaf", module=more[0] or "''")
            if set(names) != right:
                return wrong("modules-missing", len(right), len(names))
        return None if output["records"] else wrong("modules-missing", len(right), 0)


class Quiet(_Inspect):
    """A step that is not due runs as if there were no inspector; none is left, nor another mode."""

    name = "inspect-run/quiet"

    def judge(self, case, output):
        hooked, every = output["hooked"], case["every"]
        if not close(output["runs"], case["inputs"]):
            return wrong("runs-off", len(case["inputs"]), len(hooked))
        if not any(hooked):
            return wrong("no-hooks")
        busy = [step for step, count in enumerate(hooked) if count and step % every]
        if busy:
            return wrong("hooks-when-not-due", step=busy[0])
        if output["left"]:
            return wrong("hooks-stay", 0, output["left"])
        return None if output["trains"] else wrong("mode-changed")
