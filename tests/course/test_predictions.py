"""A learner's guess, written down before a run and compared with it afterwards."""

import math

import pytest

from course import open_lesson, predictions
from minigpt.messages import use_language


@pytest.fixture(autouse=True)
def opened(small, monkeypatch):
    monkeypatch.setattr(open_lesson, "opened", small)
    monkeypatch.setattr(predictions, "_written", {})


def test_an_open_guess_is_asked_for_and_a_number_is_repeated(capsys):
    predictions.predict("first", healthy=6.2384, broken=...)
    said = capsys.readouterr().out
    assert "..." in said and "healthy: 6.238" in said and "broken" not in said


def test_both_sides_stand_in_one_row_and_a_missing_guess_is_a_dash(capsys):
    predictions.predict("first", healthy=6)
    capsys.readouterr()
    predictions.compare("first", healthy=6.25, broken=49.0678)
    _, healthy, broken = capsys.readouterr().out.splitlines()
    assert healthy.split() == ["healthy", "6", "6.25", *"within a factor of 1.04".split()]
    assert broken.split() == ["broken", "–", "49.07"]


def test_a_guessed_word_gets_a_tick_or_a_cross(capsys):
    predictions.predict("diagnosis", A="head-bias", B="head-bias")
    capsys.readouterr()
    predictions.compare("diagnosis", A="head-bias", B="init-scale", C="init-scale")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[-1] for row in rows] == ["✓", "✗", "init-scale"]


def test_the_last_guess_counts_and_a_comparison_without_any_is_no_error(capsys):
    predictions.predict("first", healthy=1)
    predictions.predict("first", healthy=2)
    capsys.readouterr()
    predictions.compare("first", healthy=6.25)
    predictions.compare("never-asked", healthy=6.25)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["healthy", "2", "6.25"] and lines[3].split() == ["healthy", "–", "6.25"]


def test_rows_are_called_by_the_lessons_texts_in_the_language_in_force(capsys):
    use_language("es")
    predictions.predict("first", **{"vocabulary-size": 512})
    assert "tamaño del vocabulario: 512" in capsys.readouterr().out


@pytest.mark.parametrize("guess", [135488, "135,488", "135 488", "135_488", 135488.0, " 135,488 "])
def test_a_number_is_compared_as_a_number_however_it_was_typed(capsys, guess):
    predictions.predict("size", parameters=guess)
    predictions.compare("size", parameters="135,488")
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "✓"


@pytest.mark.parametrize(
    ("guess", "measured"),
    [("6,25", 6.25), ("0,005", 0.005), ("-0,3", -0.3), ("1,234.5", 1234.5), ("1 234 567", 1_234_567)],
)
def test_a_comma_that_sets_no_thousands_apart_is_a_decimal_one(capsys, guess, measured):
    predictions.predict("comma", loss=guess)
    predictions.compare("comma", loss=measured)
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "✓"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100_000, "100,000"),
        (1e5, "100,000"),
        (0.00002753, "0.00002753"),
        (-0.4, "-0.4"),
        (21820.4, "21,820"),
        (6.2384, "6.238"),
        (0.0, "0"),
        (True, "True"),
    ],
)
def test_numbers_are_shown_in_plain_digits(value, text):
    assert predictions.shown(value) == text


def test_words_match_without_case_and_a_number_says_how_far_it_was(capsys):
    predictions.predict("all", leaf="Healthy", loss=4.2, gap=-0.5, share="100 %")
    predictions.compare("all", leaf="healthy", loss=6.0, gap=0.5, share=100)
    *_, leaf, loss, gap, share = capsys.readouterr().out.splitlines()
    assert leaf.endswith("✓") and share.endswith("✓")
    assert loss.endswith("within a factor of 1.43") and gap.endswith("1 apart")


def test_columns_are_as_wide_as_their_longest_entry(capsys):
    predictions.predict("wide", a="a-very-long-diagnosis-that-needs-room")
    capsys.readouterr()
    predictions.compare("wide", a="short")
    assert "a-very-long-diagnosis-that-needs-room   short" in capsys.readouterr().out


@pytest.mark.parametrize("guess", [[6.2], math.nan, "", None, {}, math.inf])
def test_what_is_neither_a_number_nor_a_word_is_asked_for_again(capsys, guess):
    predictions.predict("first", healthy=guess)
    assert "one number or one word" in capsys.readouterr().out
    predictions.compare("first", healthy=6.25)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["healthy", "–", "6.25"]
