"""A learner's guess, written down before a run and compared with it afterwards."""

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
    assert healthy.split() == ["healthy", "6", "6.25"]
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
    assert lines[1].split() == ["healthy", "2", "6.25"] and lines[3].split() == ["healthy", "–", "6.25"]


def test_rows_are_called_by_the_lessons_texts_in_the_language_in_force(capsys):
    use_language("es")
    predictions.predict("first", **{"vocabulary-size": 512})
    assert "tamaño del vocabulario: 512" in capsys.readouterr().out
