"""Grading on the machines of a Dask cluster: the judge and its sandbox run on each, the gradebook stays here.

    with Cluster("tcp://10.0.0.5:8786", job) as team:
        for student, result in team.grade({"ana": handed_in}): ...

Every machine needs this course in the same state (the lesson's revision is compared) and a sandbox of its
own. Submissions and results travel as JSON text. Dask itself runs whatever a client sends it, so a scheduler
belongs on a network that only its owners reach, or behind Dask's TLS (`tls://…`).
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict

import nbformat
from distributed import Client, Future, WorkerPlugin, get_worker, wait

from course.build import to_text
from course.grade.normalise import HandedIn
from course.grade.team import Bench, Job
from course.lesson import find_lesson
from course.messages import CourseError

NAME = "course-grade"  # of the plugin: a later run ends what an earlier one left
CONNECT_SECONDS = 10
CHECK_SECONDS = 20.0  # how often to see whether anybody is left; a lost worker's nanny starts another in less


class Seat(WorkerPlugin):
    """On each Dask worker: the bench, brought up by its first task and ended with the run."""

    def __init__(self, job: Job):
        self.lesson, self.revision = job.lesson.id, job.lesson.revision
        self.release, self.solutions = to_text(job.release), job.solutions
        self.seconds, self.trust, self.secret = job.seconds, job.trust, job.secret

    def setup(self, worker: object) -> None:
        """Called by Dask on the worker."""
        self._lock, self._bench = threading.Lock(), None

    def teardown(self, worker: object) -> None:
        """Called by Dask on the worker."""
        with self._lock:
            if self._bench:
                self._bench.__exit__()
            self._bench = None

    def bench(self) -> Bench:
        """The bench.

        Raises:
            CourseError: the lesson is another one here, or there is no sandbox.
        """
        with self._lock:
            if self._bench is None:
                lesson = find_lesson(self.lesson)
                if lesson.revision != self.revision:
                    raise CourseError("grade.other-edition", lesson=lesson.assignment, machine=_machine())
                release = nbformat.reads(self.release, as_version=4)
                job = Job(lesson, release, self.solutions, self.seconds, self.trust, self.secret)
                bench = Bench(job)
                self._bench = bench.__enter__()
            return self._bench


class Cluster:
    """The workers of a Dask scheduler.

    Raises:
        CourseError: nobody answers at the address, or the scheduler has no workers.
    """

    def __init__(self, address: str, job: Job):
        self.address, self.job = address, job
        try:
            self.client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise CourseError("grade.no-scheduler", address=address, what=type(error).__name__) from None
        if not self.client.scheduler_info()["workers"]:
            self.client.close()
            raise CourseError("grade.no-workers", address=address)

    def __enter__(self) -> Cluster:
        self.client.register_plugin(Seat(self.job), name=NAME)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.client.unregister_worker_plugin(NAME)
        except Exception:  # the cluster is gone, and its benches with it
            pass
        self.client.close(timeout=CONNECT_SECONDS)

    def grade(self, waiting: dict[str, HandedIn]) -> Iterator[tuple[str, dict]]:
        """Grade everybody; close the iterator to stop early. What a lost worker had in hand, another takes.

        Raises:
            CourseError: the cluster, or the last of its workers, was lost on the way.
        """
        names, run = self.job.exercises, uuid.uuid4().hex
        tasks: dict = {}
        try:
            asked = {self.client.submit(_prove, name, key=f"prove-{name}-{run}"): name for name in names}
            list(self._finished(asked))
            for number, (name, handed_in) in enumerate(waiting.items()):
                task = self.client.submit(
                    _grade, name, json.dumps(asdict(handed_in)), key=f"grade-{number}-{run}"
                )
                tasks[task] = name
            for task, text in self._finished(tasks):
                yield tasks.pop(task), json.loads(text)
        except CourseError:
            raise
        except Exception as error:  # Dask raises whatever its network and its scheduler raise
            raise CourseError("grade.cluster-lost", what=f"{type(error).__name__}: {error}"[:200]) from None
        finally:
            if self.client.status == "running":
                self.client.cancel(list(tasks))

    def _finished(self, tasks: dict[Future, str]) -> Iterator[tuple[Future, str]]:
        """The tasks as they end, with what they return: without a worker both would wait for ever."""
        waiting = set(tasks)
        while waiting:
            try:
                with self.client.as_current():
                    ended = wait(waiting, timeout=CHECK_SECONDS, return_when="FIRST_COMPLETED").done
                for task in ended:
                    found = task.result(timeout=CHECK_SECONDS)  # from the worker, who may be gone by now
                    waiting.discard(task)
                    yield task, found
            except TimeoutError:
                if not self.client.scheduler_info()["workers"]:
                    raise CourseError("grade.workers-gone", address=self.address) from None


def _prove(name: str) -> bool:
    get_worker().plugins[NAME].bench().prove(name)
    return True


def _grade(name: str, handed_in: str) -> str:
    bench = get_worker().plugins[NAME].bench()
    return json.dumps(bench.grade(name, HandedIn(**json.loads(handed_in))))


def _machine() -> str:
    return get_worker().address
