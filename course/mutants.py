"""Right and wrong answers to a lesson's exercises: the proof that its checks tell them apart.

A lesson's `mutants.py` lists them. `code` is what a learner would type as the whole solution cell:

    ANSWERS = [
        Valid("init-weights", "trunc-normal", '''def init_weights(weight): ...'''),
        Mutant("init-weights", "default", '''def init_weights(weight): ...''',
               fails={"init-weights/std": "std-is-one"}),
    ]

`fails` names every check that the mutant must fail, and the message key of each; it must pass all others.
Each exercise needs at least one `Valid` answer that differs from the reference solution and at least three
mutants.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from course.check import load_module
from course.messages import CourseError


@dataclass(frozen=True)
class Valid:
    """A right answer, written in another way than the reference solution."""

    exercise: str
    name: str
    code: str

    @property
    def fails(self) -> dict[str, str]:
        """A right answer fails nothing."""
        return {}


@dataclass(frozen=True)
class Mutant:
    """A wrong answer, and by check name the message key that it must meet."""

    exercise: str
    name: str
    code: str
    fails: dict[str, str] = field(default_factory=dict)


def load_answers(file: Path) -> list[Valid | Mutant]:
    """Return the file's `ANSWERS`, their code dedented.

    Raises:
        CourseError: the file is missing or does not run, lists none, or two answers share a name.
    """
    answers = getattr(load_module(file), "ANSWERS", None)
    if not answers or not all(isinstance(answer, (Valid, Mutant)) for answer in answers):
        raise CourseError("trial.no-answers", file=file)
    names = [(answer.exercise, answer.name) for answer in answers]
    for exercise, name in names:
        if names.count((exercise, name)) > 1:
            raise CourseError("trial.twice", file=file, exercise=exercise, name=name)
    return [type(a)(**(vars(a) | {"code": textwrap.dedent(a.code).strip()})) for a in answers]
