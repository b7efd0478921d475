"""Lesson 18-02: what its prose says of the playground is so, and its checks hold for any cases."""

from __future__ import annotations

import pytest
import torch

from course import trial
from course.lesson import find_lesson
from course.source import read_source


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("18-02")


@pytest.fixture(scope="module")
def playground(lesson):
    """The names of the playground's own cells."""
    cells = {cell.name: cell for cell in read_source(lesson.folder / "lesson.py")}
    threads = torch.get_num_threads()
    namespace = {"__name__": "__main__"}
    for name in ("setup", "facts", "small-run"):
        exec(compile(cells[name].text, f"<{name}>", "exec"), namespace)
    yield namespace
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def end(playground):
    """`end(warmup, lr_max, unit)`: the loss that the playground shows for the end of that run."""
    return lambda *values: sum(playground["small_run"](*values)[1][-5:]) / 5


def test_checks_tell_answers_apart_on_other_cases(lesson, other_cases):
    other_cases(11)
    report = trial.run(lesson)
    assert report.findings == []
    assert report.counts["checks"] == 14 and report.counts["wrong"] >= 50


def test_a_warm_up_matters_where_the_rate_is_high(end):
    assert abs(end(1, 0.001, 1) - end(60, 0.001, 1)) < 0.1
    assert end(1, 0.03, 1) - end(60, 0.03, 1) > 0.7


def test_the_best_rate_is_neither_the_lowest_nor_the_highest(end, playground):
    assert end(15, 0.01, 1) < min(end(15, 0.001, 1), end(15, 0.1, 1)) - 0.5
    assert end(15, 0.1, 1) == pytest.approx(playground["only_frequencies"], abs=0.15)


def test_a_schedule_that_counts_micro_batches_may_look_better(end):
    assert end(15, 0.03, 1) - end(15, 0.03, 4) > 0.4
