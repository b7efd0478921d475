"""Lesson 18-06: what its prose says of the playground is so, and its checks hold for any cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course import trial
from course.lesson import find_lesson
from course.source import read_source


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("18-06")


@pytest.fixture(scope="module")
def namespace(lesson):
    """The names of the playground's own cells."""
    text = {cell.name: cell.text for cell in read_source(lesson.folder / "lesson.py") if not cell.is_markdown}
    threads = torch.get_num_threads()
    names = {"__name__": "__main__"}
    drawing = text["playground"].partition("\ndef draw")[0]  # the picture itself needs a notebook
    for source in (text["setup"], text["facts"], text["sixteen-micro-batches"], drawing):
        exec(compile(source, "<lesson>", "exec"), names)
    yield names
    torch.set_num_threads(threads)


def test_checks_tell_answers_apart_on_other_cases(lesson, other_cases):
    other_cases(11)
    report = trial.run(lesson)
    assert report.findings == []
    assert report.counts["checks"] == 13 and report.counts["wrong"] >= 45


def test_a_divided_gradient_never_grows_with_k(namespace):
    divided = namespace["norms"] / np.arange(1, 17)
    assert np.all(np.diff(divided) < 0)


def test_without_the_division_clipping_begins_at_two_micro_batches(namespace):
    assert namespace["norms"][0] < namespace["config"].clip_norm < namespace["norms"][1]


def test_the_first_step_of_adam_does_not_feel_the_missing_division(namespace):
    gradient = namespace["added"][15]
    longer = namespace["adam_length"](gradient) / namespace["adam_length"](gradient / 16)
    assert longer == pytest.approx(1.0, abs=0.01)
