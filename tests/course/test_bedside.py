"""The bedside: any question for credits, or one after the other; the verdict is left to whoever clicks."""

from html import escape

import pytest

from course.bedside import HEALTHY, Bedside
from course.credits import CREDITS, LOG, PROBE, QUESTIONS, Examination, apart
from course.messages import message as say
from course.patients import ward
from minigpt.messages import message


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    patients = ward("learner 0")
    return {letter: patients[letter].train(folder / letter) for letter in "AB"}


def in_order(runs):
    bedside = Bedside(runs)
    bedside.way.value = "order"
    return bedside


def test_fine_leads_to_the_next_question_and_back_returns(runs):
    bedside = in_order(runs)
    bedside.refresh()
    first = bedside.question.id
    assert first == "1.0" and "1.0" in bedside.text.value
    assert bedside.back.disabled
    bedside.fine.click()
    assert bedside.question.id != first and not bedside.back.disabled
    bedside.back.click()
    assert bedside.question.id == first


def test_broken_asks_for_a_leaf_of_the_question_and_can_be_taken_back(runs):
    bedside = in_order(runs)
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
    bedside = in_order(runs)
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
    bedside = in_order({"A": runs["A"]})
    for _ in bedside.findings["A"]:
        bedside.fine.click()
    assert bedside.question is None and bedside.fine.disabled and bedside.broken.disabled
    assert "A" in bedside.outcome.value and bedside.overview.value == "A: healthy"


def test_a_picture_is_drawn_once_a_visit(runs, monkeypatch):
    drawn = []
    monkeypatch.setattr("course.picture.Picture.show", lambda self, figure, text: drawn.append(text[0]))
    bedside = in_order(runs)
    bedside.refresh()
    bedside.fine.click()
    bedside.patient.value = "B"
    assert drawn == ["A", "B"]


def test_it_never_tells_the_verdict(runs):
    bedside = in_order(runs)
    shown = []
    for _ in bedside.findings["A"]:
        bedside.refresh()
        shown.append(bedside.text.value + bedside.outcome.value)
        bedside.fine.click()
    leaves = {leaf for question in QUESTIONS.values() for leaf in question.leaves}
    assert [leaf for leaf in leaves if any(leaf in text for text in shown)] == []


def test_every_question_has_a_price_and_is_paid_once(runs):
    examination = Examination(runs["A"])
    prices = {id: examination.cost(id) for id in examination.findings}
    assert set(prices.values()) == {LOG, PROBE}
    assert (
        prices["1.1"] == LOG and prices["1.3"] == PROBE
    )  # a loss is in the log; feeding a batch twice is not
    assert examination.ask("1.3").question == "1.3" and examination.left == CREDITS - PROBE
    assert examination.ask("1.3") is not None and examination.left == CREDITS - PROBE
    assert examination.ask("1.4") is not None and examination.left == 1
    assert examination.ask("1.5") is None and examination.asked == ["1.3", "1.4"]
    assert not examination.spent and examination.ask("1.1") is not None
    assert examination.left == 0 and examination.spent


def test_on_the_budget_a_diagnosis_is_given_explained_and_can_be_taken_back(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    bedside.asking.value = "1.3"
    assert str(PROBE) in bedside.ask.description
    bedside.ask.click()
    assert "1.3" in bedside.answers.value and bedside.ask.disabled
    bedside.guess.value = "loss-reduction"
    assert bedside.decide.description == f"{say('bedside.decide')}: loss-reduction"
    bedside.asking.value = "1.1"
    assert bedside.guess.value == "loss-reduction"  # looking for a question undoes no choice
    bedside.decide.click()
    assert bedside.decide.description == say("bedside.again")
    assert bedside.guess.disabled and bedside.ask.disabled
    assert escape(message("leaves.loss-reduction-means")) in bedside.outcome.value
    assert "init-scale" in bedside.outcome.value  # both can end question 1.1
    assert bedside.overview.value == f"A: loss-reduction ({PROBE}/{CREDITS}) · B: –"
    bedside.decide.click()
    assert bedside.outcome.value == "" and bedside.examinations["A"].left == CREDITS - PROBE


def test_a_diagnosis_without_a_question_that_leads_there_is_told_so(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    bedside.guess.value = "missing-norm"
    bedside.decide.click()
    assert escape(say("bedside.unseen", patient="A", leaf="X").partition("X")[2][2:]) in bedside.outcome.value
    bedside.patient.value = "B"
    assert bedside.outcome.value == "" and bedside.guess.value is None
    bedside.guess.value = HEALTHY
    bedside.decide.click()
    assert bedside.overview.value == f"A: missing-norm (0/{CREDITS}) · B: healthy (0/{CREDITS})"


def test_when_the_credits_are_gone_it_asks_for_a_decision(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    for id in ("1.3", "1.4", "1.1"):
        bedside.asking.value = id
        bedside.ask.click()
    assert say("bedside.spent") in bedside.answers.value
    bedside.asking.value = "1.5"
    assert bedside.ask.disabled


def test_what_tells_two_leaves_apart_can_end_in_one_of_them_alone():
    for leaf in sorted({leaf for question in QUESTIONS.values() for leaf in question.leaves}):
        for other in apart(leaf):
            assert other.shared and other.leaf != leaf
            for question in QUESTIONS.values():
                if question.id in other.telling:
                    assert (leaf in question.leaves) != (other.leaf in question.leaves)


def test_the_budget_never_tells_the_verdict(runs):
    bedside = Bedside(runs)
    bedside.refresh()
    shown = []
    for id in bedside.examinations["A"].findings:
        bedside.asking.value = id
        bedside.ask.click()
        shown.append(bedside.answers.value + bedside.outcome.value)
    leaves = {leaf for question in QUESTIONS.values() for leaf in question.leaves}
    assert [leaf for leaf in leaves if any(leaf in text for text in shown)] == []
