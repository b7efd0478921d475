"""The check contract: what a lesson's `checks/` defines, and what lesson, notebook and grader share.

A check is one small question about one answer. It has three parts, which may run in different processes:

    class Std(Check):
        name = "init-weights/std"      # exercise/aspect; also the key of the text that says what it verifies
        answer = "init_weights"        # the name that the learner defines

        def cases(self, rng):                          # judge's side: inputs, plain data, fresh from a seed
            yield {"rows": 64, "columns": int(rng.integers(100, 400))}

        def probe(self, answer, case):                 # learner's side: call it, return plain data
            weight = torch.empty(case["rows"], case["columns"])
            answer(weight)
            return {"std": number(weight.std())}

        def judge(self, case, output):                 # judge's side: None, or the misconception by key
            if close(output["std"], 1.0, rtol=0.1):
                return wrong("std-is-one", expected=0.02, actual=output["std"])

`number` and `array` turn what a learner returned into plain data and explain themselves when they cannot,
`given` refuses None; `close` compares and never accepts NaN. A message key is one of the lesson's texts, or
`check.…` from the course's. Its template may use {expected}, {actual}, the values given to `wrong`, and every
number or string of the case. Running a check: `course.judging`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from course.messages import CourseError, one_line
from course.plain import close
from course.probing import array, given, number
from minigpt.messages import nearest

__all__ = ["Check", "Wrong", "array", "close", "given", "load_checks", "number", "wrong"]


@dataclass(frozen=True)
class Wrong:
    """A failed check: the misconception's message key, expected and actual, more values for its text."""

    key: str
    expected: object = None
    actual: object = None
    values: dict = field(default_factory=dict)


def wrong(key: str, expected: object = None, actual: object = None, **values: object) -> Wrong:
    """Return the failure named `key`; `None` for expected or actual leaves that line out."""
    return Wrong(key, expected, actual, values)


class Check:
    """One check of one exercise; subclass it in a lesson's `checks/` and give `name` and `answer`."""

    name: str  # "exercise/aspect"
    answer: str  # the name in the learner's notebook
    allow_nonfinite = False  # True where NaN or infinity may be a right answer
    random_state = (
        False  # True where the state in which the answer leaves the random generators is part of it
    )
    written_out = False  # True where the answer is a value that a person writes down, and no call may find it

    @property
    def exercise(self) -> str:
        """The part of the name before the slash: the grade id of the solution cell."""
        return self.name.split("/")[0]

    def cases(self, rng: np.random.Generator) -> Iterable[dict]:
        """Yield a few inputs, each a dict of plain data."""
        raise NotImplementedError

    def contrasts(self, rng: np.random.Generator, cases: list[dict]) -> Iterable[dict]:
        """Yield inputs whose right output is none of the cases', best of the same shapes.

        Without any, an answer that looks at nothing may pass where every case asks for the same.
        """
        return ()

    def probe(self, answer: object, case: dict) -> object:
        """Use the learner's object on one case and return plain data."""
        raise NotImplementedError

    def judge(self, case: dict, output: object) -> Wrong | None:
        """Return None when the output is right, else `wrong(key, expected, actual)`."""
        raise NotImplementedError

    def gist(self, output: object) -> object:
        """Return what of an output has to differ between a case and its contrasts."""
        return output

    def tie(self, output: object) -> str | None:
        """Return what has to be the same in every check of one submission, such as a name; or None."""
        return None


def load_folder(folder: Path) -> list[ModuleType]:
    """Run the Python files of a lesson's `checks` or `mutants`, in order of names, and return the modules.

    They are read as one package, so a file may import from its neighbours: `from .shared import settings`.

    Raises:
        CourseError: there are none, or one does not run.
    """
    files = sorted(folder.glob("*.py"))
    if not files:
        raise CourseError("lesson.file-missing", file=folder)
    package = "lesson_" + "_".join(folder.parts[-3:]).replace("-", "_")
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]
    sys.modules[package] = ModuleType(package)
    sys.modules[package].__path__ = [str(folder)]
    modules = []
    for file in files:
        try:
            modules.append(importlib.import_module(f"{package}.{file.stem}"))
        except Exception as error:
            raise CourseError(
                "lesson.python", file=file, error=f"{type(error).__name__}: {one_line(error)}"
            ) from error
    return modules


def load_checks(folder: Path) -> dict[str, Check]:
    """Return every check that the files of the folder define, by name, in the order of definition.

    Raises:
        CourseError: a file does not run, a check has no name or answer, or two share a name.
    """
    checks: dict[str, Check] = {}
    for module in load_folder(folder):
        for check in _defined(module):
            name, answer = getattr(check, "name", ""), getattr(check, "answer", "")
            if name.count("/") != 1 or not answer.isidentifier():
                raise CourseError("lesson.check-name", file=module.__file__, check=type(check).__name__)
            if name in checks:
                raise CourseError("lesson.check-twice", file=module.__file__, name=name)
            checks[name] = check
    return checks


def _defined(module: ModuleType) -> list[Check]:
    """The checks of a module, without what it imported and the base classes that several checks share."""
    classes = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Check)]
    own = [item for item in classes if item.__module__ == module.__name__]
    return [item() for item in own if not item.__name__.startswith("_")]


def find_check(checks: dict[str, Check], name: str) -> Check:
    """Return the check called `name`.

    Raises:
        CourseError: there is none; the nearest is suggested.
    """
    if name not in checks:
        raise CourseError("lesson.check-unknown", given=name, hint=nearest(name, checks))
    return checks[name]
