"""Lesson 18-01: what its prose says is so, and its checks hold for any cases, not only for those shown."""

from __future__ import annotations

import math
import re

import pytest
import torch

from course import trial
from course.glossary import offence
from course.lesson import find_lesson
from course.source import read_source

HEALTHY_LOSS = 0.5  # |Δ| of the healthy band
BROKEN_LOSS = 1.76


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("18-01")


@pytest.fixture(scope="module")
def cells(lesson):
    return {cell.name: cell for cell in read_source(lesson.folder / "lesson.py")}


@pytest.fixture(scope="module")
def start(cells):
    """The playground's own measurement, as (Δ, gradient norm, standard deviation of the logits)."""
    threads = torch.get_num_threads()
    namespace = {"__name__": "__main__"}
    for name in ("setup", "facts", "one-start"):
        exec(compile(cells[name].text, f"<{name}>", "exec"), namespace)
    torch.set_num_threads(threads)

    def measure(width, bias=0.0):
        loss, norm, logits = namespace["start"](width, bias)
        return loss - math.log(512), norm, logits.std().item()

    return measure


@pytest.mark.parametrize("seed", [11, 12])
def test_checks_tell_answers_apart_on_any_cases(lesson, other_cases, seed):
    other_cases(seed)
    report = trial.run(lesson)
    assert report.findings == []
    assert report.counts["checks"] == 16 and report.counts["wrong"] >= 60


def test_wide_weights_show_in_the_loss_before_they_show_in_the_gradient(start):
    assert abs(start(6.0)[0]) < HEALTHY_LOSS < start(7.0)[0]
    delta, norm, _ = start(20.0)
    assert delta > BROKEN_LOSS and 0.1 <= norm <= 10
    assert start(25.0)[1] < 10 < start(33.0)[1]


def test_a_head_bias_moves_the_loss_alone(start):
    delta, norm, _ = start(1.0, bias=5.0)
    assert delta > BROKEN_LOSS and 0.1 <= norm <= 10


def test_narrow_weights_look_healthy_to_section_1(start):
    delta, norm, _ = start(0.1)
    assert abs(delta) < HEALTHY_LOSS and 0.1 <= norm <= 10


def test_the_spread_of_the_logits_explains_the_loss(start):
    assert start(1.0)[2] == pytest.approx(0.16, abs=0.01)
    assert start(100.0)[2] == pytest.approx(16, abs=0.5)
    for width in (3.0, 6.0):
        delta, _, sigma = start(width)
        assert delta == pytest.approx(sigma**2 / 2, abs=0.1)


def test_every_text_is_used_and_every_misconception_has_one(lesson):
    used = "".join(file.read_text(encoding="utf-8") for file in (lesson.folder / "checks").glob("*.py"))
    used += (lesson.folder / "lesson.py").read_text(encoding="utf-8")
    texts = lesson.texts.by_language["en"]
    labels = {"low-is-not-high", "low-is-not-fine", "cured"}  # put together, or the name of a row
    quoted = set(re.findall(r"""["']([a-z0-9_/-]+)["']""", used))
    assert sorted(texts.keys() - quoted - labels) == []
    named = re.findall(r'wrong\(\s*"([a-z-]+)"', used)
    assert named and [key for key in named if key not in texts] == []


def test_the_spanish_keeps_to_the_glossary(lesson, cells):
    spanish = {name: cell.texts["es"] for name, cell in cells.items() if cell.is_markdown}
    spanish |= lesson.texts.by_language["es"]
    assert {name: offence(text) for name, text in spanish.items() if offence(text)} == {}
