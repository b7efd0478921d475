"""Checks of `checkpoint`: a checkpoint that loses nothing.

The training and everything that is expected of it are made where no learner's code runs. The answer saves a
copy of it in one process and loads the file in another, and sends back what the loaded one holds: the rest of
the run, and the run that was never interrupted, are computed here.
"""

import hashlib

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong
from course.workplace import files_in, put, workplace

KILL, MORE = (5, 12), 5  # steps before the checkpoint, at least and at most, and after it
NAME = "checkpoint.pt"


def _rate(step):
    return 0.9**step


def _seed(seed, part):
    """A seed from which no other follows: a generator tells its own to whoever holds it."""
    return int.from_bytes(hashlib.sha256(f"{part} {seed}".encode()).digest()[:7], "big")


class Training:
    """A small training with everything that a resume can lose, buffers and two generators included.

    Its weights were drawn from a seed that nothing in it tells any more: nobody can train it again.
    """

    def __init__(self, seed):
        torch.manual_seed(_seed(seed, "weights"))
        self.model = nn.Sequential(
            nn.Linear(6, 10, bias=False),  # a bias before a batch norm has no gradient but rounding noise
            nn.BatchNorm1d(10),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(10, 4, bias=False),
        )
        groups = [{"params": self.model[0].parameters(), "weight_decay": 0.1}]
        self.optimizer = torch.optim.AdamW([*groups, {"params": self.model[4].parameters()}], lr=0.02)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, _rate)
        scale = 2.0 ** (8 + _seed(seed, "scale") % 7)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
        torch.manual_seed(_seed(seed, "dropout"))
        self.generator = torch.Generator().manual_seed(_seed(seed, "batches"))
        self.step = 0

    def report(self):
        """Everything as plain data, for whoever continues it elsewhere."""
        places = {id(parameter): i for i, parameter in enumerate(self.model.parameters())}
        states = self.optimizer.state
        held = [(places[id(p)], states[p]) for p in states if id(p) in places]
        scaler = self.scaler.state_dict()
        return {
            "model": {name: tensor.detach().numpy() for name, tensor in self.model.state_dict().items()},
            "optimizer": [
                {"place": i, "step": float(state["step"])}
                | {name: state[name].detach().numpy() for name in ("exp_avg", "exp_avg_sq")}
                for i, state in held
                if "exp_avg" in state
            ],
            "groups": [
                {name: float(group[name]) for name in ("lr", "weight_decay", "eps")}
                | {"betas": [float(beta) for beta in group["betas"]]}
                | {"places": [places[id(p)] for p in group["params"] if id(p) in places]}
                for group in self.optimizer.param_groups
            ],
            "schedule": int(self.scheduler.last_epoch),
            "scaler": {name: float(value) for name, value in scaler.items()},
            "generator": self.generator.get_state().numpy(),
            "step": float(number(self.step)),
        }

    def accept(self, report):
        """Take over what another process reports."""
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                tensor.copy_(torch.from_numpy(report["model"][name]).reshape(tensor.shape))
        parameters = list(self.model.parameters())
        self.optimizer.state.clear()
        for held in report["optimizer"]:
            parameter = parameters[held["place"]]
            moments = {name: torch.from_numpy(held[name]) for name in ("exp_avg", "exp_avg_sq")}
            moments = {name: moment.reshape(parameter.shape) for name, moment in moments.items()}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(held["step"]))} | moments
        for group, told in zip(self.optimizer.param_groups, report["groups"], strict=True):
            group |= {name: float(told[name]) for name in ("lr", "weight_decay", "eps")}
            group["betas"] = (float(told["betas"][0]), float(told["betas"][1]))
            group["params"] = [parameters[place] for place in told["places"]]
        self.scheduler.last_epoch = int(report["schedule"])
        scaler = {name: float(value) for name, value in report["scaler"].items()}
        counts = {name: int(scaler[name]) for name in scaler if name.startswith(("growth_i", "_growth"))}
        self.scaler.load_state_dict(scaler | counts)
        self.generator.set_state(torch.from_numpy(report["generator"]))
        self.step = int(report["step"])


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


def _expected(case):
    """What the training holds at the checkpoint, and what one that began otherwise holds."""
    training = Training(case["seed"])
    _advance(training, case["kill"])
    return {"right": _facts(training), "fresh": _facts(Training(case["seed"] + 1))}


class _Checkpoint(Check):
    """Save at some step, carry the file elsewhere, load it into a training that began otherwise."""

    answer = "Checkpoint"
    random_state = True

    def cases(self, rng):
        yield {"seed": int(rng.integers(2**62)), "kill": int(rng.integers(KILL[0], KILL[1] + 1))}

    def probe(self, answer, case):
        found = _facts(self._loaded(answer, case))
        return {"found": found} | _expected(case)

    def _loaded(self, answer, case):
        training = Training(case["seed"])
        _advance(training, case["kill"])
        with workplace() as here, workplace() as there:
            answer().save(training, here / NAME)
            files = files_in(here)
            if not files:
                raise FileNotFoundError(NAME)
            put(there, files)
            put(here, {})  # nothing that the file only refers to is left
            _advance(training, MORE)  # life goes on: a reference into it would be stale by now
            fresh = Training(case["seed"] + 1)
            answer().load(fresh, there / NAME)
        return fresh

    def judge(self, case, output):
        return self._judge(output["found"], output["right"], output["fresh"])

    def _judge(self, found, expected, fresh):
        raise NotImplementedError


class Weights(_Checkpoint):
    name = "checkpoint/weights"

    def _judge(self, output, expected, fresh):
        for part in ("weights", "buffers"):
            if close(output[part], expected[part]):
                continue
            same = close(output[part], fresh[part])
            return wrong(f"{part}-not-loaded" if same else f"{part}-of-another-step")
        return None


class Optimizer(_Checkpoint):
    name = "checkpoint/optimizer"

    def _judge(self, output, expected, fresh):
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

    def cases(self, rng):
        for _ in range(2):  # where a run stands is a number or two, and one pair could be guessed
            yield from super().cases(rng)

    def _judge(self, output, expected, fresh):
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

    def _judge(self, output, expected, fresh):
        if not close(output["batches"], expected["batches"]):
            return wrong("batches-differ", expected["batches"], output["batches"])
        if not close(output["dropout"], expected["dropout"]):
            return wrong("dropout-differs", expected["dropout"], output["dropout"])
        return None


class Identical(_Checkpoint):
    name = "checkpoint/identical"

    def probe(self, answer, case):
        resumed = self._loaded(answer, case)
        _advance(resumed, MORE)
        after = _weights(resumed)
        uninterrupted = Training(case["seed"])
        _advance(uninterrupted, case["kill"] + MORE)
        return {"resumed": after, "uninterrupted": _weights(uninterrupted)}

    def judge(self, case, output):
        actual, expected = output["resumed"], output["uninterrupted"]
        if np.array_equal(actual, expected):
            return None
        known = actual.shape == expected.shape
        return wrong("not-identical", 0.0, float(np.abs(actual - expected).max()) if known else 1.0)
