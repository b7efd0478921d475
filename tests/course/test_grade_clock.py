"""A busy machine costs nobody points, and nobody wins anything by waiting on purpose."""

import os
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest

from course.grade.judge import grade
from course.grade.normalise import HandedIn
from course.grade.sandbox import strongest
from course.grade.system import children
from course.grade.workshop import Workshop

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

PROCESSOR = min(os.sched_getaffinity(0))
HONEST = """
def expected_loss(vocab_size):
    import time
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    return math.log(vocab_size)
"""
SLEEPS = "def expected_loss(vocab_size):\n    import time\n    time.sleep(10**6)\n"
FORKS = """
def expected_loss(vocab_size):
    import os
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""


BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"


@pytest.fixture
def workshop(small, built):
    """A workshop all of whose questions share one processor."""
    release = nbformat.read(small.built("en", built), as_version=4)
    with Workshop(small, release) as workshop:
        os.sched_setaffinity(workshop.process.pid, {PROCESSOR})
        for pid in children(workshop.process.pid):  # of an ordinary user, whose sandbox is one further down
            os.sched_setaffinity(pid, {PROCESSOR})
        yield workshop


@contextmanager
def crowd(size):
    """So many other programs on that processor."""
    command = [sys.executable, "-c", BUSY, str(PROCESSOR)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for _ in range(size)]
    try:
        for other in others:
            other.stdout.read(1)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
            other.stdout.close()


def graded(workshop, code, seconds):
    """The result of an answer whose question has so many seconds."""
    workshop.seconds = seconds
    return grade("ana", HandedIn(cells={"expected-loss": code}), workshop.release, workshop)


def test_a_starved_question_gets_the_time_it_waited_and_a_sleeper_none(workshop):
    with crowd(4):
        honest, sleeper = graded(workshop, HONEST, 1.0), graded(workshop, SLEEPS, 4.0)
    assert honest["points"] == 3.0 and honest["waited"]["expected-loss"] > 0 and not honest["retry"]
    assert sleeper["checks"]["expected-loss/value"]["key"] == "grade.time"
    assert sleeper["points"] == 0 and not sleeper["retry"]


def test_a_question_that_the_machine_never_let_finish_is_no_verdict(workshop, monkeypatch):
    monkeypatch.setattr("course.grade.judge.PATIENCE", 0.2)
    with crowd(4):
        result = graded(workshop, HONEST, 0.7)
    assert result["retry"] and result["notes"][0][0] == "grade.busy"
    assert result["waited"]["expected-loss"] <= 0.2


def test_whoever_crowds_the_machine_themselves_waits_for_nobody(workshop):
    result = graded(workshop, FORKS, 1.0)
    assert result["checks"]["expected-loss/value"]["key"] == "grade.time" and not result["retry"]


def test_whoever_computes_without_end_is_stopped_by_processor_time_long_before_the_clock(
    workshop, monkeypatch
):
    monkeypatch.setattr("course.grade.workshop.PROCESSOR_SECONDS", 1)
    result = graded(workshop, "def expected_loss(vocab_size):\n    while True:\n        pass\n", 3_600.0)
    assert result["checks"]["expected-loss/value"]["key"] == "grade.time" and not result["retry"]
