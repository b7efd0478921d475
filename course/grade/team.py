"""Who grades: the cores of this machine (here), or the machines of a Dask cluster (`course.grade.cluster`).

    with Cores(job, workers=2) as team:
        for student, result in team.grade({"ana": handed_in}):     # as they are finished

Before anybody is graded, the reference solution has to pass every check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import torch
from nbformat import NotebookNode

from course.grade.judge import grade, require_reference
from course.grade.normalise import HandedIn
from course.grade.sandbox import strongest
from course.grade.workshop import SandboxGone, Workshop
from course.lesson import Lesson
from course.messages import CourseError


@dataclass(frozen=True)
class Job:
    """What is to be graded, and how: `seconds` a question, `trust`: no sandbox, the course's `secret`."""

    lesson: Lesson
    release: NotebookNode
    solutions: dict[str, str]
    seconds: float
    trust: bool = False
    secret: bytes = b""

    @property
    def exercises(self) -> list[str]:
        """The exercises of the lesson that have checks."""
        return list(dict.fromkeys(check.exercise for check in self.lesson.checks.values()))


class Bench:
    """One process's place to work: a sandbox, and the judge before it. Threads may share it.

    Raises:
        CourseError: this machine has no sandbox, and the job does not trust its submissions.
    """

    def __init__(self, job: Job):
        level = strongest()
        if level == "none" and not job.trust:
            raise CourseError("grade.no-sandbox")
        self.job = job
        self.workshop = Workshop(job.lesson, job.release, level, job.seconds)

    def __enter__(self) -> Bench:
        torch.set_num_threads(1)  # as in the sandbox: what is drawn or added depends on their number
        self.workshop.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.workshop.__exit__()

    def prove(self, exercise: str) -> None:
        """See that the reference solution of that exercise passes its checks."""
        require_reference(exercise, self.job.solutions, self.workshop)

    def grade(self, name: str, handed_in: HandedIn) -> dict:
        """Grade; whatever goes wrong with one submission is that submission's problem, told in its result."""
        try:
            return grade(name, handed_in, self.job.release, self.workshop, self.job.secret)
        except SandboxGone:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"[:300]
            failed = HandedIn(language=handed_in.language, problem=("grade.failed", {"what": what}))
            return grade(name, failed, self.job.release, self.workshop, self.job.secret)


class Cores:
    """This machine: one sandbox, and as many submissions at a time as `workers` (default: its cores)."""

    def __init__(self, job: Job, workers: int | None = None):
        self.bench = Bench(job)
        self.workers = workers or os.cpu_count()

    def __enter__(self) -> Cores:
        self.bench.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.bench.__exit__()

    def grade(self, waiting: dict[str, HandedIn]) -> Iterator[tuple[str, dict]]:
        """Grade everybody; close the iterator to stop early."""
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(self.bench.prove, self.bench.job.exercises))
            tasks = {
                pool.submit(self.bench.grade, name, handed_in): name for name, handed_in in waiting.items()
            }
            try:
                for task in as_completed(tasks):
                    yield tasks.pop(task), task.result()
            finally:
                pool.shutdown(cancel_futures=True)
