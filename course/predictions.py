"""What a learner expects, written down before the run shows it, and compared with the run afterwards.

    predict("first-loss", healthy=..., broken=...)      # the learner puts a number in place of each `...`
    compare("first-loss", healthy=6.25, broken=49.1)    # after the run: both side by side

A guess is a number or a word, and lives in the notebook's own cell: running that cell again writes it down
anew. A row is called by the lesson's text of that name, where it has one.
"""

from __future__ import annotations

from course.messages import CourseError, message
from course.notebook import t

_WIDTH = 20  # of a column, in characters

_written: dict[str, dict[str, object]] = {}


def predict(name: str, **guesses: object) -> None:
    """Write down a guess a row, and say what was written; `...` is no guess yet."""
    _written[name] = {row: guess for row, guess in guesses.items() if guess is not ...}
    if len(_written[name]) < len(guesses):
        print(message("predict.open"))
    for row, guess in _written[name].items():
        print(message("predict.written", row=_label(row), guess=_shown(guess)))


def compare(name: str, **outcomes: object) -> None:
    """Print, a row each, what was guessed and what came out; a guessed word gets a tick or a cross."""
    guesses = _written.get(name, {})
    print(_line("", message("predict.yours"), message("predict.measured")))
    for row, outcome in outcomes.items():
        guess = guesses.get(row)
        mark = ""
        if isinstance(outcome, str) and guess is not None:
            mark = "✓" if guess == outcome else "✗"
        print(_line(_label(row), "–" if guess is None else _shown(guess), _shown(outcome), mark))


def _line(*columns: str) -> str:
    return "".join(f"{column:<{_WIDTH}}" for column in columns).rstrip()


def _shown(value: object) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.4g}" if numeric else str(value)


def _label(row: str) -> str:
    try:
        return t(row)
    except CourseError:
        return row
