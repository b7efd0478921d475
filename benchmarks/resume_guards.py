"""SIGKILL in the middle of a rollback, of a snapshot or of a skip: is the resumed run the uninterrupted one?

    python benchmarks/resume.py --guards [--kills 50] [--seed 0]

Each run has the shipped guards on, five batches with shuffled targets, and later one batch whose update
damages the weights: so it skips five batches, takes a snapshot every four steps, skips again, and rolls back.
A child is killed at a point drawn at random inside one of these three, at a random occurrence of it; what is
on disk is resumed, often to be killed again. At its end, weights, moments, metrics, events and probes must be
those of the run that nobody killed.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from resume import BASE, content, finished, fork, go_on

from minigpt.data.batches import get_batch
from minigpt.runs.run import Run
from minigpt.runs.writer import RunWriter
from minigpt.training import snapshots, trainer
from minigpt.training.guards.enforcer import Enforcer
from minigpt.training.recipe import Recipe
from minigpt.training.snapshots import Snapshot, Snapshots
from minigpt.training.state import TrainerState

SHARD, DAMAGE = range(42, 47), 58  # data steps
CONFIG = BASE.replace(
    steps=80, checkpoint_every=6, snapshot_every=4, snapshots=6, guard_finite=True, guard_spikes=True
)


def with_trouble(config) -> Recipe:
    """Return a recipe with a bad shard, and a batch whose update damages the weights."""
    now = [0]

    def batch_at(tokens, config, data_step, *rest):
        now[0] = data_step
        batch = get_batch(tokens, config, data_step, *rest)
        if data_step not in SHARD:
            return batch
        order = torch.randperm(batch.targets.numel(), generator=torch.Generator().manual_seed(data_step))
        return batch._replace(targets=batch.targets.flatten()[order].view_as(batch.targets))

    plain = Recipe(config)

    def step(optimizer, precision, lr):
        plain.step(optimizer, precision, lr)
        if now[0] == DAMAGE:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for parameter in group["params"]:
                        parameter.mul_(-5.0)

    return dataclasses.replace(plain, get_batch=batch_at, step=step)


KINDS = {
    "accumulation and dropout": with_trouble(CONFIG.replace(accumulation=2)),
    "a model with a memory": with_trouble(CONFIG.replace(mixer="memory", consolidation_interval=7)),
    "fp16, a clipper with a memory": with_trouble(
        CONFIG.replace(precision="fp16", loss_scale=2.0**20, clipper="zscore")
    ),
}
POINTS = {  # of each, the functions before or after which the child dies
    "rollback": [
        (Snapshots, "back_to", False),
        (snapshots, "load_moments", False),
        (snapshots, "load_moments", True),
        (Snapshot, "restore", True),
        (TrainerState, "try_again", True),
    ],
    "snapshot": [
        (Snapshot, "take", False),
        (snapshots, "moments_of", True),
        (Snapshot, "take", True),
        (Snapshots, "saved", True),
    ],
    "skip": [
        (RunWriter, "event", False),
        (RunWriter, "event", True),
        (trainer, "drop", True),
        (Enforcer, "forget_step", True),
        (TrainerState, "try_again", False),
        (TrainerState, "try_again", True),
    ],
}


OCCURRENCES = {"rollback": 2, "snapshot": 25, "skip": 14}  # about as many as a whole run has


def die_at(way: str, owner: object, name: str, after: bool, occurrence: int) -> None:
    """Be killed before or after the `occurrence`-th call of a function, as far as it belongs to `way`."""
    original, decide = getattr(owner, name), Enforcer.decide
    left, now = [occurrence], [""]

    def told(self, moment, record):
        decision = decide(self, moment, record)
        now[0] = "skip" if decision.drop else "rollback" if decision.undoes else ""
        return decision

    def deadly(*arguments, **named):
        if name == "event":
            belongs = ("to" in arguments[1]) == (way == "rollback")
        else:
            belongs = way in ("snapshot", now[0])
        left[0] -= belongs
        if left[0] == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Enforcer.decide = told
    setattr(owner, name, staticmethod(deadly) if name == "take" else deadly)


def killed_once(recipe: Recipe, run_dir: Path, rng: random.Random, struck: Counter) -> bool:
    """Let the run go on in a child that dies; whether it reached its end before that."""
    way = rng.choice(list(POINTS))
    owner, name, after = rng.choice(POINTS[way])
    occurrence = rng.randrange(1, OCCURRENCES[way] + 1)

    def action() -> None:
        die_at(way, owner, name, after, occurrence)
        go_on(recipe, run_dir)

    if finished(fork(action)):
        return True
    struck[way] += 1
    return False


def refuse_without_trouble(path: Path) -> None:
    """Make sure that the run skips and rolls back.

    Raises:
        SystemExit: it does not, and the measurement would show nothing.
    """
    done = Counter(event["done"] for event in Run(path).events)
    if not done["drop the step"] or not done["roll back and skip"]:
        raise SystemExit(f"{path} did not skip and roll back: {dict(done)}")


def measure(kills: int, seed: int) -> str:
    """Kill, resume and compare; return the line for RESULTS.md.

    Raises:
        SystemExit: a resumed run differs from the uninterrupted one.
    """
    rng, struck, runs = random.Random(seed), Counter(), 0
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp())
    try:
        references = {}
        for kind, recipe in KINDS.items():
            path = folder / kind.replace(" ", "-")
            finished(fork(lambda recipe=recipe, path=path: go_on(recipe, path)))
            references[kind] = content(path)
            refuse_without_trouble(path)
        while sum(struck.values()) < kills or runs % len(KINDS):
            kind = list(KINDS)[runs % len(KINDS)]
            run_dir = folder / f"killed-{runs}"
            while not killed_once(KINDS[kind], run_dir, rng, struck):
                pass
            if content(run_dir) != references[kind]:
                raise SystemExit(f"{run_dir} ({kind}) is not the run that nobody killed")
            runs += 1
    finally:
        shutil.rmtree(folder)
    ways = ", ".join(f"{number} in a {way}" for way, number in struck.most_common())
    return (
        f"{sum(struck.values())} kills ({ways}) over {runs} runs of {len(KINDS)} kinds, each resumed: "
        "weights, moments and all logs are those of the uninterrupted run in all. "
        f"{time.perf_counter() - started:.0f} s."
    )
