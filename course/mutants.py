"""Right and wrong answers to a lesson's exercises: the proof that its checks tell them apart.

The files of a lesson's `mutants/`, one an exercise, list them. `code` is what a learner would type as the
whole solution cell:

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

from course.check import load_folder
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
    """A wrong answer, and the message key that it must get, by check name."""

    exercise: str
    name: str
    code: str
    fails: dict[str, str] = field(default_factory=dict)


def load_answers(folder: Path) -> list[Valid | Mutant]:
    """Return the `ANSWERS` of every file of the folder, their code dedented.

    Raises:
        CourseError: a file is missing, does not run or lists none, or two answers share a name.
    """
    found: list[Valid | Mutant] = []
    for module in load_folder(folder):
        answers = getattr(module, "ANSWERS", None)
        if not answers or not all(isinstance(answer, (Valid, Mutant)) for answer in answers):
            raise CourseError("trial.no-answers", file=module.__file__)
        found += answers
    names = [(answer.exercise, answer.name) for answer in found]
    for exercise, name in names:
        if names.count((exercise, name)) > 1:
            raise CourseError("trial.twice", file=folder, exercise=exercise, name=name)
    return [type(a)(**(vars(a) | {"code": textwrap.dedent(a.code).strip()})) for a in found]
