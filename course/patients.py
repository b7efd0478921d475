"""Blind patients: six runs drawn from a name, each broken in a way that its files do not reveal.

    patients = ward("Ada Lovelace")                  # {"A": Patient, …, "F": Patient}, those of lesson 18-08
    patients = ward("Ada Lovelace", "19-10")
    run = patients["A"].train("experiments/18-08/A")
    walk = patients["A"].walk(parts=["init_weights"])           # re-trained with a healthy part in place

One of the six is healthy, one has two faults, four have one. Faults, letters and the seed of each run follow
from the name: different names get different wards. A patient's recipe has every part sealed, broken or not,
and an empty list of faults, so neither the recipe nor the run directory names one. Who is drawn stands in
`course.draw`: nothing here tells it.

A repair is plain data: parts of the loop to put back in their healthy form, and settings. A judge trains the
repair here, without running the learner's code.
"""

from __future__ import annotations

import tempfile
import threading
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from course.messages import CourseError
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis import Walk
from minigpt.messages import nearest
from minigpt.runs.run import Run

LETTERS = "ABCDEF"
PARTS = tuple(part.name for part in fields(Recipe) if part.name not in ("config", "faults", "guards"))
# By lesson: the settings that a repair may change.
SETTINGS = {
    "18-08": ("clip_norm", "lr_max", "lr_min", "weight_decay", "beta1", "beta2", "warmup_steps"),
    "19-10": (
        *("clip_norm", "lr_max", "lr_min", "weight_decay", "beta1", "beta2", "warmup_steps"),
        *("loss_scale", "loss_scale_backoff", "loss_scale_growth"),
    ),
}

_WALKS: dict[tuple, Walk] = {}  # of runs that this process has trained: the same recipe gives the same run
_MOST_WALKS = 1024
_ONE_AT_A_TIME = threading.Lock()  # submissions are judged in threads, and torch has one global generator


@dataclass(frozen=True)
class Patient:
    """One run of a ward. What ails it is drawn again from name and letter each time, and stored nowhere."""

    name: str
    letter: str
    lesson: str = "18-08"

    @property
    def config(self) -> Config:
        """What was asked of the run."""
        return self._as_it_fell_ill().config

    def recipe(self, parts: Collection[str] = (), settings: Mapping[str, float] | None = None) -> Recipe:
        """Return the run's recipe with `parts` in their healthy form and `settings` changed; all is sealed.

        Raises:
            CourseError: no part, or no setting that may be changed, has that name (the nearest is suggested).
        """
        changeable = SETTINGS[self.lesson]
        for key, given, known in (("part", parts, PARTS), ("setting", settings or {}, changeable)):
            for name in given:
                if name not in known:
                    raise CourseError(f"patients.no-such-{key}", given=name, hint=nearest(str(name), known))
        ill, healthy = self._as_it_fell_ill(), Recipe()
        changes = {name: _as_in(ill.config, name, value) for name, value in (settings or {}).items()}
        chosen = {part: getattr(healthy if part in parts else ill, part) for part in PARTS}
        return Recipe(ill.config.replace(**changes), **{name: _sealed(part) for name, part in chosen.items()})

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
        parts = [*parts]
        with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                run = train(self.recipe(parts, settings), run_dir, callbacks, overwrite=True)
            finally:
                torch.set_num_threads(threads)
        walked = diagnosis.check(run.path, whole=True)
        with _ONE_AT_A_TIME:
            while len(_WALKS) >= _MOST_WALKS:
                _WALKS.pop(next(iter(_WALKS)))
            _WALKS[self._key(parts, settings)] = walked
        return run

    def walk(self, parts: Iterable[str] = (), settings: Mapping[str, float] | None = None) -> Walk:
        """Return the whole walk of the trees; trains in a temporary folder, if that is still to be done."""
        parts = [*parts]
        if (found := _WALKS.get(self._key(parts, settings))) is not None:
            return found
        with tempfile.TemporaryDirectory() as folder:
            return diagnosis.check(self.train(Path(folder) / "run", parts, settings).path, whole=True)

    def _key(self, parts: Iterable[str], settings: Mapping[str, float] | None) -> tuple:
        return self, tuple(sorted({*parts})), tuple(sorted((settings or {}).items()))

    def _as_it_fell_ill(self) -> Recipe:
        from course.draw import broken  # here, so that Tab does not offer it

        return broken(self.lesson, self.name, self.letter)


def ward(name: str, lesson: str = "18-08") -> dict[str, Patient]:
    """Return the six patients that somebody has in a capstone, 18-08 or 19-10.

    Case, accents, commas and the order of the names do not matter.

    Raises:
        CourseError: the name is not a text, or is empty.
    """
    if not isinstance(name, str) or not plain_name(name):
        raise CourseError("patients.no-name")
    return {letter: Patient(plain_name(name), letter, lesson) for letter in LETTERS}


def plain_name(name: str) -> str:
    """The words of a name in order of the alphabet: however one writes it, it is the same person's.

    >>> plain_name("García-Núñez, Ana")
    'ana garcia nunez'
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    kept = (letter if letter.isalnum() else " " for letter in letters if not unicodedata.combining(letter))
    return " ".join(sorted("".join(kept).split()))


def _as_in(config: Config, name: str, value: float) -> float:
    """Return a whole number as an int where the config has one: 15.0 steps are 15."""
    whole = type(getattr(config, name)) is int and float(value).is_integer()
    return int(value) if whole else value


def _sealed(part):
    """Return a part that does the same and reveals nothing when printed."""

    def part_of_the_loop(*arguments, **settings):
        return part(*arguments, **settings)

    return part_of_the_loop
