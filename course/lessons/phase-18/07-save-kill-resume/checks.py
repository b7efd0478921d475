"""Checks of lesson 18-07: an audit of a resume, a checkpoint that loses nothing, a file no kill tears."""

import os
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from course.check import Check, array, close, number, wrong

PARTS = ("optimizer", "schedule", "scaler")
KILL, MORE = 7, 5  # steps before the checkpoint, and after it


class _Audit(Check):
    """Two records around a resume; which part of the state did not come back?"""

    answer = "resume_audit"
    lost: tuple[tuple[str, ...], ...]

    def cases(self, rng):
        for index, lost in enumerate(self.lost):
            step = int(rng.integers(40, 400))
            asked = float(rng.uniform(2e-4, 3e-3))
            scale = float(2.0 ** rng.integers(8, 14))
            last = {
                "step": step - 1,
                "lr": asked * float(rng.uniform(1.002, 1.008)),
                "update": float(rng.uniform(0.08, 0.35)),
                "scale": scale,
            }
            first = {
                "step": step,
                "lr": asked * ((0.01, 3.0)[index % 2] if "schedule" in lost else 1.0),
                "update": 0.9999 if "optimizer" in lost else float(rng.uniform(0.08, 0.35)),
                "scale": 65536.0 if "scaler" in lost else scale * (0.5, 1.0, 2.0)[index % 3],
            }
            yield {"last": last, "first": first, "asked": asked, "expected": list(lost)}

    def probe(self, answer, case):
        found = answer(case["last"], case["first"], case["asked"])
        if found is None:
            number(found)
        return {"kind": type(found).__name__, "lost": [str(item) for item in found]}

    def judge(self, case, output):
        expected, actual = case["expected"], sorted(set(output["lost"]))
        if output["kind"] == "str" or any(name not in PARTS for name in actual):
            return wrong("not-a-list-of-parts", expected, output["lost"])
        if actual == sorted(expected):
            return None
        first, last = case["first"], case["last"]
        values = {
            "update": f"{first['update']:.2f}",
            "lr": f"{first['lr']:.2e}",
            "asked_lr": f"{case['asked']:.2e}",
            "saved_scale": f"{last['scale']:.0f}",
            "scale": f"{first['scale']:.0f}",
        }
        missed = [name for name in expected if name not in actual]
        return wrong(
            f"{missed[0]}-missed" if missed else self._alarm(actual, expected), expected, actual, **values
        )

    def _alarm(self, actual, expected):
        return f"{next(name for name in actual if name not in expected)}-false-alarm"


class AuditNothing(_Audit):
    name = "resume-audit/nothing"
    lost = ((), (), ())


class AuditOptimizer(_Audit):
    name = "resume-audit/optimizer"
    lost = (("optimizer",), ("optimizer",))


class AuditSchedule(_Audit):
    name = "resume-audit/schedule"
    lost = (("schedule",), ("schedule",), ("schedule",))


class AuditScaler(_Audit):
    name = "resume-audit/scaler"
    lost = (("scaler",), ("scaler",))


class AuditSeveral(_Audit):
    name = "resume-audit/several"
    lost = (("optimizer", "scaler", "schedule"), ("optimizer", "schedule"))


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


@contextmanager
def _folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


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
        with _folder() as here, _folder() as there:
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


class _Killed(BaseException):
    """The power cut: no `except Exception` catches it."""


_WATCHING = []
_HOOKED = []


@contextmanager
def _watch(folder, kill_at):
    """See every opening for writing, renaming and removing in a folder, and end the program at the n-th."""
    folder = os.path.realpath(folder)
    existing = {entry.path for entry in os.scandir(folder)}
    watch = SimpleNamespace(folder=folder, kill_at=kill_at, existing=existing, events=0, in_place=False)
    if not _HOOKED:  # an audit hook stays for good; it does nothing while nobody watches
        sys.addaudithook(_hear)
        _HOOKED.append(True)
    _WATCHING.append(watch)
    try:
        yield watch
    except _Killed:
        pass
    finally:
        _WATCHING.remove(watch)


def _hear(event, args):
    if not _WATCHING or event not in ("open", "os.rename", "os.remove"):
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    path = args[1] if event == "os.rename" else args[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    parent, name = os.path.split(os.fsdecode(path))
    path = os.path.join(os.path.realpath(parent), name)
    for watch in tuple(_WATCHING):
        if not path.startswith(watch.folder + os.sep):
            continue
        watch.in_place |= event == "open" and path in watch.existing
        watch.events += 1
        if watch.events == watch.kill_at:
            raise _Killed


def _read(answer, path):
    """What reading gives: the bytes, or None when it refuses."""
    try:
        return bytes(answer(path).read())
    except NotImplementedError:
        raise
    except Exception:
        return None


class _SafeFile(Check):
    answer = "SafeFile"

    def cases(self, rng):
        yield {"old": rng.bytes(300).hex(), "new": rng.bytes(200).hex(), "at": float(rng.uniform(0.1, 0.9))}

    def _written(self, answer, case, folder):
        path = Path(folder) / "checkpoint.bin"
        answer(path).write(bytes.fromhex(case["old"]))
        return path


class RoundTrip(_SafeFile):
    name = "safe-file/round-trip"

    def probe(self, answer, case):
        with _folder() as folder:
            path = self._written(answer, case, folder)
            first = answer(path).read()
            answer(path).write(bytes.fromhex(case["new"]))
            second = answer(path).read()
            kinds = [type(first).__name__, type(second).__name__]
            missing = _read(answer, Path(folder) / "nothing.bin")
            texts = [bytes(item).hex() if item is not None else "" for item in (first, second)]
            return {"kinds": kinds, "first": texts[0], "second": texts[1], "missing": missing is not None}

    def judge(self, case, output):
        if "NoneType" in output["kinds"]:
            return wrong("read-nothing")
        if output["first"] != case["old"]:
            return wrong("other-bytes", len(case["old"]) // 2, len(output["first"]) // 2)
        if output["second"] != case["new"]:
            return wrong("not-overwritten", len(case["new"]) // 2, len(output["second"]) // 2)
        return wrong("missing-accepted") if output["missing"] else None


class Kill(_SafeFile):
    name = "safe-file/kill"

    def probe(self, answer, case):
        survivors, in_place = [], False
        for kill_at in range(1, 13):
            with _folder() as folder:
                path = self._written(answer, case, folder)
                with _watch(folder, kill_at) as watch:
                    answer(path).write(bytes.fromhex(case["new"]))
                in_place |= watch.in_place
                if watch.events < kill_at:
                    break
                found = _read(answer, path)
                survivors.append("" if found is None else found.hex())
        return {"in_place": in_place, "survivors": survivors}

    def judge(self, case, output):
        if output["in_place"]:
            return wrong("written-in-place")
        for found in output["survivors"]:
            if found == "":
                return wrong("nothing-left")
            if found not in (case["old"], case["new"]):
                return wrong("half-and-half")
        return None


class _Damage(_SafeFile):
    """Spoil each file that was written, one at a time: reading may refuse, or give the right bytes."""

    accepted: str

    def damaged(self, content, at):
        raise NotImplementedError

    def probe(self, answer, case):
        found = []
        with _folder() as folder:
            path = self._written(answer, case, folder)
            for file in sorted(Path(folder).iterdir()):
                content = file.read_bytes()
                for spoilt in self.damaged(content, case["at"]):
                    file.write_bytes(spoilt)
                    read = _read(answer, path)
                    found.append(None if read is None else read.hex())
                file.write_bytes(content)
            return {"found": found, "intact": _read(answer, path) is not None}

    def judge(self, case, output):
        if not output["intact"]:
            return wrong("never-reads")
        for read in output["found"]:
            if read is not None and read != case["old"]:
                return wrong(self.accepted, len(case["old"]) // 2, len(read) // 2)
        return None


class Torn(_Damage):
    name = "safe-file/torn"
    accepted = "torn-accepted"

    def damaged(self, content, at):
        return [content[: int(len(content) * at)], content[:-1], b""]


class Changed(_Damage):
    name = "safe-file/changed"
    accepted = "changed-accepted"

    def damaged(self, content, at):
        places = [0, int(len(content) * at), len(content) - 1]
        return [content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :] for i in places]
