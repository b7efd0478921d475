"""Scoring what a model writes."""

import pytest

from minigpt.data.conjugations import Share, Verdict, judge, prompt, score_cells, score_lines
from minigpt.data.corpus import load_corpus, table_cells


def test_a_model_that_knows_all_and_one_that_knows_nothing():
    answers = {prompt(cell): str(cell) for cell in table_cells()}
    assert all(
        share.value == 1 for share in score_cells(lambda prompts: [answers[p] for p in prompts]).values()
    )
    assert all(share.value == 0 for share in score_cells(lambda prompts: prompts).values())


def test_groups_add_up_and_tell_classes_and_sides_apart():
    answers = {prompt(cell): str(cell) for cell in table_cells() if cell.verb_class == "regular"}
    shares = score_cells(lambda prompts: [answers.get(p, p) for p in prompts])
    assert (shares["regular"].value, shares["irregular"].value) == (1, 0)
    assert str(shares["all"]) == "216/360"
    assert shares["train"].of + shares["validation"].of == 360
    assert shares["train"].right + shares["validation"].right == 216
    seen = {prompt(cell): str(cell) for cell in table_cells() if cell.item.side == "train"}
    shares = score_cells(lambda prompts: [seen.get(p, p) for p in prompts])
    assert (shares["train"].value, shares["validation"].value) == (1, 0)


def test_every_line_of_the_corpus_is_correct_and_no_mis_conjugated_cell_is():
    assert score_lines(load_corpus().validation.splitlines()).value == 1
    wrong = [str(cell) for cell in table_cells("mis-conjugated")]
    assert score_lines(wrong) == Share(0, 360)


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("él come pan / he eats bread", Verdict.CORRECT),
        ("ella come pan / she eats bread", Verdict.CORRECT),
        ("él come pan / she eats bread", Verdict.WRONG),
        ("él come pan / he ate bread", Verdict.WRONG),
        ("él come pan / he eats fruit", Verdict.WRONG),
        ("él comes pan / he eats bread", Verdict.WRONG),
        ("yo visito a mis padres / I visit your parents", Verdict.WRONG),
        ("¿qué les gusta a ellos? / what do they like?", Verdict.CORRECT),
        ("¿qué les gusta a ellos / what do they like?", Verdict.WRONG),
        ("él come pan", Verdict.NOT_A_PAIR),
        ("él come pan / ", Verdict.NOT_A_PAIR),
        ("él come / pan / he eats bread", Verdict.NOT_A_PAIR),
        ("", Verdict.NOT_A_PAIR),
    ],
)
def test_judge(line, verdict):
    assert judge(line) is verdict


def test_nothing_scored_is_no_share():
    assert Share(0, 0).value == 0
