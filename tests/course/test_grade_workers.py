"""The same marks on one worker, on two and on a Dask cluster; a cluster that is not there is a sentence."""

import json
import os
import signal
import socket
import subprocess
import sys

import nbformat
import pytest

from course.grade.classroom import grade_assignment
from course.grade.sandbox import strongest
from course.grade.secret import NAME
from course.messages import CourseError
from course.mutants import load_answers

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")


@pytest.fixture
def handed_in(small, built, tmp_path):
    """`handed_in("one")` is a course directory with every second answer of mutants/."""
    release = nbformat.read(small.built("en", built), as_version=4)

    def make(name):
        for number, answer in enumerate(load_answers(small.folder / "mutants")[::2]):
            for cell in release.cells:
                if cell.id in ("expected-loss", "init-weights"):
                    cell.source = answer.code if cell.id == answer.exercise else "raise NotImplementedError"
            file = tmp_path / name / "submitted" / f"s{number}" / small.assignment / "small-model.ipynb"
            file.parent.mkdir(parents=True)
            nbformat.write(release, file)
        # one secret for all, or each would draw cases of its own
        (tmp_path / name / NAME).write_text("5a" * 32 + "\n", encoding="utf-8")
        return tmp_path / name

    return make


@pytest.fixture
def cluster(lessons):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def lonely(lessons):
    """`lonely(n)`: the address of a scheduler with so many workers that nobody watches over, and those."""
    distributed = pytest.importorskip("distributed")
    workers = []
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as cluster:

        def make(count):
            command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
            command += ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"]
            for _ in range(count):
                workers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            with distributed.Client(cluster, set_as_default=False) as client:
                client.wait_for_workers(count)
            return cluster.scheduler_address, workers

        yield make
        for worker in workers:
            worker.kill()
            worker.wait()


def kill_after_the_first(worker):
    """What to give as `progress`: at the first result that worker dies without a word."""
    return lambda done, total: done and worker.poll() is None and os.kill(worker.pid, signal.SIGKILL)


def test_what_a_worker_that_died_had_in_hand_is_graded_by_another_once(small, built, handed_in, lonely):
    address, (one, other) = lonely(2)
    report = grade_assignment(
        small, root := handed_in("dask"), scheduler=address, built=built, progress=kill_after_the_first(one)
    )
    assert one.wait() == -signal.SIGKILL and other.poll() is None
    assert [result["points"] for _, result in sorted(report.results.items())] == [3.0, 0.0, 2.0, 0.0]
    assert report.graded == 4
    assert grade_assignment(small, root, workers=1, built=built).graded == 0


def test_the_last_worker_s_death_is_named_and_the_next_run_goes_on(
    small, built, handed_in, lonely, monkeypatch
):
    from course.grade import cluster

    monkeypatch.setattr(cluster, "CHECK_SECONDS", 1)
    address, (only,) = lonely(1)
    root = handed_in("dask")
    with pytest.raises(CourseError, match="no workers left"):
        grade_assignment(small, root, scheduler=address, built=built, progress=kill_after_the_first(only))
    report = grade_assignment(small, root, workers=1, built=built)
    assert 1 <= report.graded < 4
    assert [result["points"] for _, result in sorted(report.results.items())] == [3.0, 0.0, 2.0, 0.0]


def test_one_worker_two_workers_and_a_cluster_give_the_same_marks(small, built, handed_in, cluster):
    reports = [
        grade_assignment(small, handed_in("one"), workers=1, built=built),
        grade_assignment(small, handed_in("two"), workers=2, built=built),
        grade_assignment(small, handed_in("dask"), scheduler=cluster, built=built),
    ]
    texts = [json.dumps(dict(sorted(report.results.items())), sort_keys=True) for report in reports]
    assert texts[0] == texts[1] == texts[2]
    points = [result["points"] for _, result in sorted(reports[2].results.items())]
    assert points == [3.0, 0.0, 2.0, 0.0]
    assert [report.graded for report in reports] == [4, 4, 4]


def test_a_cluster_that_is_not_there_or_has_no_workers_is_named(small, built, handed_in, monkeypatch):
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("course.grade.cluster")
    monkeypatch.setattr("course.grade.cluster.CONNECT_SECONDS", 1)
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CourseError, match="No Dask scheduler answers"):
            grade_assignment(small, handed_in("none"), scheduler=address, built=built)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=False) as empty:
        with pytest.raises(CourseError, match="has no workers"):
            grade_assignment(small, handed_in("empty"), scheduler=empty.scheduler_address, built=built)


def test_a_worker_with_another_edition_of_the_lesson_grades_nothing(small, built, handed_in, monkeypatch):
    distributed = pytest.importorskip("distributed")
    from course.grade import cluster

    class Stale(cluster.Seat):
        def __init__(self, job):
            super().__init__(job)
            self.revision = "0123456789ab"

    monkeypatch.setattr(cluster, "Seat", Stale)
    with distributed.LocalCluster(n_workers=1, dashboard_address=None, processes=False) as here:
        with pytest.raises(CourseError, match="is not the same on the worker"):
            grade_assignment(small, handed_in("stale"), scheduler=here.scheduler_address, built=built)
