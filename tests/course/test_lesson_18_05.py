"""Lesson 18-05: what its prose says of the playground is so, and its checks hold for any cases."""

from __future__ import annotations

import pytest
import torch

from course import trial
from course.lesson import find_lesson
from course.source import read_source


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("18-05")


@pytest.fixture(scope="module")
def through(lesson):
    """`through(form, layers, std)`: the playground's sizes, writes and gradients, block by block."""
    text = {cell.name: cell.text for cell in read_source(lesson.folder / "lesson.py") if not cell.is_markdown}
    threads = torch.get_num_threads()
    namespace = {"__name__": "__main__"}
    drawing = text["playground"].partition("\ndef draw")[0]  # the picture itself needs a notebook
    for source in (text["setup"], text["facts"], "data = recipe.load_data(config)", drawing):
        exec(compile(source, "<lesson>", "exec"), namespace)
    yield namespace["through_the_blocks"]
    torch.set_num_threads(threads)


def test_checks_tell_answers_apart_on_other_cases(lesson, other_cases):
    other_cases(11)
    report = trial.run(lesson)
    assert report.findings == []
    assert report.counts["checks"] == 13 and report.counts["wrong"] >= 35


def test_scaled_projections_keep_the_stream_as_large_whatever_the_depth(through):
    ends = [through("pre-norm", layers, 0.02)[0][-1] for layers in (2, 8, 24)]
    assert ends == pytest.approx([0.035] * 3, abs=0.002)
    assert through("unscaled", 24, 0.02)[0][-1] == pytest.approx(0.16, abs=0.01)


def test_without_norms_the_stream_is_calm_and_the_blocks_are_silent(through):
    sizes, writes, _ = through("no-norm", 8, 0.02)
    assert sizes[-1] / sizes[0] < 1.02
    assert max(writes) < 0.01


def test_without_norms_wide_weights_explode(through):
    _, _, gradients = through("no-norm", 24, 0.2)
    assert gradients[0] > 1000 * gradients[-1]


def test_post_norm_is_silent_at_the_width_of_pre_norm(through):
    assert through("post-norm", 8, 0.02)[1][1:] == pytest.approx([0.007] * 7, abs=0.001)
    assert through("post-norm", 24, 0.02)[1][1:] == pytest.approx([0.004] * 23, abs=0.0005)
    healthy, wide = through("pre-norm", 8, 0.02)[1], through("post-norm", 8, 0.1)[1][1:]
    assert min(wide) > 0.7 * min(healthy)
