"""Checks of `checkpoint`: a checkpoint that loses nothing."""

import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong

KILL, MORE = 7, 5  # steps before the checkpoint, and after it


def _training(seed):
    """A small training with everything that a resume can lose, buffers and two generators included."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 10), nn.BatchNorm1d(10), nn.GELU(), nn.Dropout(0.3), nn.Linear(10, 4, bias=False)
    )
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "weight_decay": 0.1}, {"params": model[4].parameters()}], lr=0.02
    )
    return SimpleNamespace(
        model=model,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step),
        scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3),
        generator=torch.Generator().manual_seed(seed + 1),
        step=0,
    )


def _advance(training, steps):
    """Train on batches that the generator draws."""
    for _ in range(steps):
        inputs = torch.randn(8, 6, generator=training.generator)
        loss = (training.model(inputs) - inputs[:, :4].cumsum(1)).square().mean()
        training.scaler.scale(loss).backward()
        training.scaler.step(training.optimizer)
        training.scaler.update()
        training.optimizer.zero_grad()
        training.scheduler.step()
        training.step += 1


def _weights(training):
    return np.concatenate([array(tensor).reshape(-1) for tensor in training.model.state_dict().values()])


def _facts(training):
    """Everything that the rest of the run depends on, as plain data; draws from the random state last."""
    states = [training.optimizer.state.get(parameter, {}) for parameter in training.model.parameters()]
    held = [state for state in states if "exp_avg" in state]
    moments = [array(state[key]).reshape(-1) for state in held for key in ("exp_avg", "exp_avg_sq")]
    parameters = [array(parameter).reshape(-1) for parameter in training.model.parameters()]
    scaler = training.scaler.state_dict()
    return {
        "weights": np.concatenate(parameters),
        "buffers": np.concatenate([array(b).reshape(-1) for b in training.model.buffers()]),
        "held": len(held),
        "moments": np.concatenate(moments) if moments else np.zeros(0),
        "counts": [number(state["step"]) for state in held],
        "rates": [float(group["lr"]) for group in training.optimizer.param_groups],
        "decays": [float(group["weight_decay"]) for group in training.optimizer.param_groups],
        "schedule": int(training.scheduler.last_epoch),
        "step": int(number(training.step)),
        "scale": float(scaler.get("scale", 0.0)),
        "tracker": int(scaler.get("_growth_tracker", 0)),
        "batches": array(torch.rand(4, generator=training.generator)),
        "dropout": array(torch.rand(4)),
    }


_ONE = threading.Lock()


@contextmanager
def _alone():
    """The judge's side: submissions are judged in threads, and torch has one global generator for all."""
    with _ONE, torch.random.fork_rng(devices=[]):
        yield


class _Checkpoint(Check):
    """Save at step KILL, carry the file elsewhere, load it into a training that began otherwise."""

    answer = "Checkpoint"

    def cases(self, rng):
        yield {"seed": int(rng.integers(1, 2**30))}

    def probe(self, answer, case):
        training = self._loaded(answer, case["seed"])
        return _facts(training)

    def _loaded(self, answer, seed):
        training = _training(seed)
        _advance(training, KILL)
        with TemporaryDirectory() as here, TemporaryDirectory() as there:
            here, there = Path(here), Path(there)
            answer().save(training, here / "checkpoint.pt")
            _advance(training, MORE)  # life goes on: a reference into it would be stale by now
            files = sorted(here.iterdir())
            if not files:
                raise FileNotFoundError(here.name)
            for file in files:
                (there / file.name).write_bytes(file.read_bytes())
                file.unlink()
            fresh = _training(seed + 100)
            answer().load(fresh, there / "checkpoint.pt")
        return fresh

    def _expected(self, case):
        with _alone():
            training = _training(case["seed"])
            _advance(training, KILL)
            return _facts(training), _facts(_training(case["seed"] + 100))


class Weights(_Checkpoint):
    name = "checkpoint/weights"

    def judge(self, case, output):
        expected, fresh = self._expected(case)
        for part in ("weights", "buffers"):
            if close(output[part], expected[part]):
                continue
            same = close(output[part], fresh[part])
            return wrong(f"{part}-not-loaded" if same else f"{part}-of-another-step")
        return None


class Optimizer(_Checkpoint):
    name = "checkpoint/optimizer"

    def judge(self, case, output):
        expected, _ = self._expected(case)
        if output["held"] < expected["held"]:
            return wrong("moments-lost", expected["held"], output["held"])
        if not close(np.array(output["counts"]), np.array(expected["counts"])):
            return wrong("count-lost", expected["counts"][0], output["counts"][0])
        if not close(output["moments"], expected["moments"]):
            return wrong("moments-differ")
        if not close(np.array(output["decays"]), np.array(expected["decays"])):
            return wrong("groups-lost", expected["decays"], output["decays"])
        return None


class Position(_Checkpoint):
    name = "checkpoint/position"

    def judge(self, case, output):
        expected, _ = self._expected(case)
        if output["step"] != expected["step"]:
            return wrong("step-lost", expected["step"], output["step"])
        if output["schedule"] != expected["schedule"]:
            return wrong("schedule-lost", expected["schedule"], output["schedule"])
        if not close(np.array(output["rates"]), np.array(expected["rates"])):
            return wrong("rate-lost", expected["rates"][0], output["rates"][0])
        if output["scale"] != expected["scale"]:
            return wrong("scale-lost", expected["scale"], output["scale"])
        if output["tracker"] != expected["tracker"]:
            return wrong("tracker-lost", expected["tracker"], output["tracker"])
        return None


class Randomness(_Checkpoint):
    name = "checkpoint/randomness"

    def judge(self, case, output):
        expected, _ = self._expected(case)
        if not close(output["batches"], expected["batches"]):
            return wrong("batches-differ", expected["batches"], output["batches"])
        if not close(output["dropout"], expected["dropout"]):
            return wrong("dropout-differs", expected["dropout"], output["dropout"])
        return None


class Identical(_Checkpoint):
    name = "checkpoint/identical"

    def probe(self, answer, case):
        resumed = self._loaded(answer, case["seed"])
        _advance(resumed, MORE)
        after = _weights(resumed)
        uninterrupted = _training(case["seed"])
        _advance(uninterrupted, KILL + MORE)
        return {"resumed": after, "bitwise": bool(np.array_equal(after, _weights(uninterrupted)))}

    def judge(self, case, output):
        with _alone():
            training = _training(case["seed"])
            _advance(training, KILL + MORE)
            expected = _weights(training)
        if output["bitwise"] is True and close(output["resumed"], expected):
            return None
        known = output["resumed"].shape == expected.shape
        return wrong(
            "not-identical", 0.0, float(np.abs(output["resumed"] - expected).max()) if known else 1.0
        )
