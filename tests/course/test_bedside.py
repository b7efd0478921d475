"""The bedside: one question at a time, the verdict left to whoever clicks."""

from html import escape

import pytest

from course.bedside import QUESTIONS, Bedside
from course.patients import ward
from minigpt.messages import message


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    patients = ward("learner 0")
    return {letter: patients[letter].train(folder / letter) for letter in "AB"}


def test_fine_leads_to_the_next_question_and_back_returns(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    first = bedside.question.id
    assert first == "1.0" and "1.0" in bedside.text.value
    assert bedside.back.disabled
    bedside.fine.click()
    assert bedside.question.id != first and not bedside.back.disabled
    bedside.back.click()
    assert bedside.question.id == first


def test_broken_asks_for_a_leaf_of_the_question_and_can_be_taken_back(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    assert bedside.leaf.layout.display == "none"
    bedside.broken.click()
    assert tuple(bedside.leaf.options) == QUESTIONS["configuration", "1.0"].leaves
    bedside.leaf.value = "nan-loss"
    assert "nan-loss" in bedside.outcome.value and bedside.fine.disabled
    assert escape(message("leaves.nan-loss-means")) in bedside.outcome.value
    bedside.back.click()
    assert bedside.outcome.value == "" and bedside.question.id == "1.0"


def test_each_patient_keeps_its_own_answers(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    bedside.fine.click()
    bedside.patient.value = "B"
    assert bedside.question.id == "1.0"
    bedside.broken.click()
    bedside.leaf.value = "diverging"
    bedside.patient.value = "A"
    assert bedside.at["A"] == 1 and bedside.outcome.value == ""
    bedside.patient.value = "B"
    assert "diverging" in bedside.outcome.value and bedside.leaf.value == "diverging"
    assert "<code>build_optimizer</code>" in bedside.outcome.value  # where to repair it
    assert bedside.overview.value == "A: – · B: diverging"


def test_after_the_last_question_a_run_is_called_healthy(runs):
    bedside = Bedside({"A": runs["A"]})
    for _ in bedside.findings["A"]:
        bedside.fine.click()
    assert bedside.question is None and bedside.fine.disabled and bedside.broken.disabled
    assert "A" in bedside.outcome.value and bedside.overview.value == "A: healthy"


def test_a_picture_is_drawn_once_a_visit(runs, monkeypatch):
    drawn = []
    monkeypatch.setattr("course.picture.Picture.show", lambda self, figure, text: drawn.append(text[0]))
    bedside = Bedside(runs)
    bedside.refresh()
    bedside.fine.click()
    bedside.patient.value = "B"
    assert drawn == ["A", "B"]


def test_it_never_tells_the_verdict(runs):
    bedside = Bedside(runs)
    shown = []
    for _ in bedside.findings["A"]:
        bedside.refresh()
        shown.append(bedside.text.value + bedside.outcome.value)
        bedside.fine.click()
    leaves = {leaf for question in QUESTIONS.values() for leaf in question.leaves}
    assert [leaf for leaf in leaves if any(leaf in text for text in shown)] == []
