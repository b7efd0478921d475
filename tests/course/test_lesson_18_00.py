"""Lesson 18-00: what its playground tells of GPT-2 is so, and its checks hold for any cases."""

from __future__ import annotations

import json

import torch

from course import trial
from course.lesson import find_lesson
from course.source import read_source


def test_checks_tell_answers_apart_on_other_cases(other_cases):
    other_cases(11)
    report = trial.run(find_lesson("18-00"))
    assert report.findings == []
    assert report.counts["checks"] == 14 and report.counts["wrong"] >= 45


def test_the_parts_of_the_playground_make_up_the_model():
    cells = {cell.name: cell for cell in read_source(find_lesson("18-00").folder / "lesson.py")}
    namespace, threads = {}, torch.get_num_threads()
    exec(cells["setup"].text, namespace)
    torch.set_num_threads(threads)
    namespace |= {"playground": lambda draw, **controls: None, "t": str}
    exec(cells["playground"].text, namespace)
    figure = namespace["Figure"]()
    namespace["draw"](figure, 12, 768, 50_257)
    title = figure.axes[0].get_title()
    assert title.startswith("parameters: 123,6") and title.endswith("ln V = 10.82")


def test_a_model_is_broken_before_any_other_is_trained_and_no_curve_gives_it_away():
    lesson = find_lesson("18-00")
    code = [cell for cell in read_source(lesson.folder / "lesson.py") if cell.role == "code"]
    trained = [cell.text for cell in code if "train(" in cell.text]
    assert 'with_fault("future-leak")' in trained[0] and "with_fault" not in trained[1]
    pair = json.loads((lesson.folder / "pair.json").read_text(encoding="utf-8"))
    assert abs(pair["A"]["val_loss"][-1] - pair["B"]["val_loss"][-1]) < 0.05
    assert all(len(set(line.split()[1:-1])) <= 2 for line in pair["A"]["writes"])
    assert all(" / " in line for line in pair["B"]["writes"])
