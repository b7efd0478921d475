"""Blind patients: six runs drawn from a name, each broken in a way that its files do not reveal.

    patients = ward("Ada Lovelace")                  # {"A": Patient, …, "F": Patient}
    run = patients["A"].train("experiments/18-08/A")
    walk = patients["A"].walk(parts=["init_weights"])           # re-trained with a healthy part in place

One of the six is healthy, one has two faults, four have one. Faults, letters and the seed of each run follow
from the name: different names get different wards. A patient's recipe has every part sealed, broken or not,
and an empty list of faults, so neither the recipe nor the run directory names one.

A repair is plain data: parts of the loop to put back in their healthy form, and settings. A judge trains the
repair here, without running the learner's code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import tempfile
import threading
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from course.messages import CourseError
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis import Walk
from minigpt.faults import Fault, find_fault
from minigpt.messages import nearest
from minigpt.runs.run import Run

LETTERS = "ABCDEF"
CONFIG = Config(
    n_layer=2, n_head=2, n_embd=32, context=32, batch_size=8, accumulation=2, steps=60, warmup_steps=10,
    lr_max=3e-3, lr_min=3e-4, eval_every=30, eval_batches=1, checkpoint_every=0, keep_checkpoints=1,
    device="cpu",
)  # fmt: skip
PARTS = tuple(part.name for part in fields(Recipe) if part.name not in ("config", "faults", "guards"))
SETTINGS = ("clip_norm", "lr_max", "lr_min", "weight_decay", "beta1", "beta2", "warmup_steps")

# Faults that the tree finds in so short a run, and at what severity.
SINGLES = (
    *("init-scale", "head-bias", "not-untrained:40", "weight-mean", "residual-scale", "frozen-parameters"),
    *("loss-reduction", "target-shift", "degenerate-data", "loss-mask-empty", "data-leak"),
    *("future-leak", "missing-norm"),
    *("scheduler-never-stepped", "base-lr-zero", "lr-discontinuous", "schedule-step-unit"),
    *("warmup-off-by-one", "lr-group-scale", "diverging", "decay-groups", "no-bias-correction"),
    *("always-clipping", "missing-zero-grad", "lost-optimizer-state"),
    *("accumulation-sum", "accumulation-token-weighting"),
)

# Two of these at once, in two parts of the loop, and the tree names one, then the other. The three left out
# leave so little of a run that nothing else can be seen in it.
PAIRABLE = tuple(
    fault for fault in SINGLES if fault not in ("degenerate-data", "loss-mask-empty", "base-lr-zero")
)
# An optimizer that forgets its steps never gets far enough to show that it counts them wrongly.
MASKED = {"lost-optimizer-state", "no-bias-correction"}

_ONE_AT_A_TIME = threading.Lock()  # submissions are judged in threads, and torch has one global generator


@dataclass(frozen=True)
class Patient:
    """One run of a ward. Its faults are drawn again from name and letter each time, and stored nowhere."""

    name: str
    letter: str

    @property
    def config(self) -> Config:
        """What was asked of the run."""
        return _broken(self).config

    def recipe(self, parts: Collection[str] = (), settings: Mapping[str, float] | None = None) -> Recipe:
        """Return the run's recipe with `parts` in their healthy form and `settings` changed; all is sealed.

        Raises:
            CourseError: no part, or no setting that may be changed, has that name (the nearest is suggested).
        """
        for key, given, known in (("part", parts, PARTS), ("setting", settings or {}, SETTINGS)):
            for name in given:
                if name not in known:
                    raise CourseError(f"patients.no-such-{key}", given=name, hint=nearest(str(name), known))
        broken, healthy = _broken(self), Recipe()
        config = broken.config.replace(**(settings or {}))
        chosen = {part: getattr(healthy if part in parts else broken, part) for part in PARTS}
        return Recipe(config=config, **{name: _sealed(part) for name, part in chosen.items()})

    def train(
        self,
        run_dir: str | Path,
        parts: Iterable[str] = (),
        settings: Mapping[str, float] | None = None,
        callbacks: Iterable[Any] = (),
    ) -> Run:
        """Train the patient, repaired or not, into `run_dir`; torch's random state is put back afterwards.

        On one thread: fastest for so small a model, and its figures are the same on any number of cores.
        """
        with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                return train(self.recipe([*parts], settings), run_dir, callbacks, overwrite=True)
            finally:
                torch.set_num_threads(threads)

    def walk(self, parts: Iterable[str] = (), settings: Mapping[str, float] | None = None) -> Walk:
        """Train in a temporary folder and return the whole walk of the trees."""
        return _walk(self, tuple(sorted({*parts})), tuple(sorted((settings or {}).items())))


def ward(name: str) -> dict[str, Patient]:
    """Return the six patients of somebody; case, accents, commas and the order of the names do not matter.

    Raises:
        CourseError: the name is not a text, or is empty.
    """
    if not isinstance(name, str) or not plain_name(name):
        raise CourseError("patients.no-name")
    return {letter: Patient(plain_name(name), letter) for letter in LETTERS}


def plain_name(name: str) -> str:
    """The words of a name in order of the alphabet: however one writes it, it is the same person's.

    >>> plain_name("García-Núñez, Ana")
    'ana garcia nunez'
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    kept = (letter if letter.isalnum() else " " for letter in letters if not unicodedata.combining(letter))
    return " ".join(sorted("".join(kept).split()))


@lru_cache(maxsize=256)
def _drawn(name: str) -> dict[str, tuple[tuple[str, ...], int]]:
    """Faults and seed of each letter."""
    rng = random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    pair = _two_parts(rng)
    singles = rng.sample([fault for fault in SINGLES if fault not in pair], 4)
    charts = [(), pair, *((fault,) for fault in singles)]
    rng.shuffle(charts)
    return {letter: (chart, rng.randrange(1, 10_000)) for letter, chart in zip(LETTERS, charts, strict=True)}


def _two_parts(rng: random.Random) -> tuple[str, ...]:
    while True:
        pair = rng.sample(PAIRABLE, 2)
        if len({_fault(fault).part for fault in pair}) == 2 and {*pair} != MASKED:
            return tuple(sorted(pair, key=SINGLES.index))


def _fault(name: str) -> Fault:
    return find_fault(name)[0]


def faults_of(patient: Patient) -> list[Fault]:
    """What was drawn for it; `course.grade.ward` asks."""
    return [_fault(name) for name in _drawn(patient.name)[patient.letter][0]]


def _broken(patient: Patient) -> Recipe:
    faults, seed = _drawn(patient.name)[patient.letter]
    recipe = Recipe(CONFIG.replace(seed=seed))
    for fault in faults:
        recipe = recipe.with_fault(fault)
    return dataclasses.replace(recipe, faults=())


def _sealed(part):
    """Return a part that does the same and reveals nothing when printed."""

    def part_of_the_loop(*arguments, **settings):
        return part(*arguments, **settings)

    return part_of_the_loop


@lru_cache(maxsize=1024)
def _walk(patient: Patient, parts: tuple[str, ...], settings: tuple[tuple[str, float], ...]) -> Walk:
    with tempfile.TemporaryDirectory() as folder:
        run = patient.train(Path(folder) / "run", parts, dict(settings))
        return diagnosis.check(run.path, whole=True)
