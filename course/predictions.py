"""Record a learner's predictions before a run, and compare them with the run afterwards.

    predict("first-loss", healthy=..., broken=...)      # the learner puts a number in place of each `...`
    compare("first-loss", healthy=6.25, broken=49.1)    # after the run: both side by side

A guess is a number or a word, and lives in the notebook's own cell: running that cell again writes it down
again. Numbers are compared as numbers, however they were typed (`135488`, `"135,488"`); words without regard
to case. A row is called by the lesson's text of that name, where it has one.
"""

from __future__ import annotations

import math
import re

from course.messages import CourseError, message
from course.notebook import t

COUNT = 20  # a whole number up to this is a count: so many apart, and no factor
DIGITS = 4  # significant digits of a number below 1000
AGREE = 0.005  # relative distance that still counts as the same number
GAP = "   "  # between two columns

_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(?:[,_\s]\d{3})+(?:\.\d*)?")  # thousands set apart

_written: dict[str, dict[str, object]] = {}


def predict(name: str, **guesses: object) -> None:
    """Record one guess per row, and print the guesses; `...` is no guess yet."""
    _written[name] = {row: guess for row, guess in guesses.items() if guess is not ... and _usable(guess)}
    if any(guess is ... for guess in guesses.values()):
        print(message("predict.open"))
    for row, guess in guesses.items():
        if row in _written[name]:
            print(message("predict.written", row=_label(row), guess=shown(guess)))
        elif guess is not ...:
            print(message("predict.unusable", row=_label(row)))


def compare(name: str, **outcomes: object) -> None:
    """Print one row per guess: the guess, the measurement, and how far apart they are."""
    guesses = _written.get(name, {})
    table = [("", message("predict.yours"), message("predict.measured"), "")]
    for row, outcome in outcomes.items():
        guess = guesses.get(row)
        guessed = "–" if guess is None else shown(guess)
        table.append(
            (_label(row), guessed, shown(outcome), "" if guess is None else _verdict(guess, outcome))
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print(GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def shown(value: object) -> str:
    """Return a value as a table shows it: a number in plain digits, thousands set apart by commas."""
    number = as_number(value)
    if number is None or isinstance(value, str):
        return str(value)
    if not math.isfinite(number):
        return str(number)
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    decimals = DIGITS - 1 - math.floor(math.log10(abs(number)))
    return f"{number:.{max(decimals, 0)}f}".rstrip("0").rstrip(".")


def as_number(value: object) -> float | None:
    """Return what a guess or an outcome says as a number, or None if it is a word.

    A text may set thousands apart by commas, spaces or underscores, and end in a per cent sign. A comma that
    sets no thousands apart is a decimal one.
    """
    if isinstance(value, str):
        bare = value.strip().removesuffix("%").strip()
        bare = re.sub(r"[,_\s]", "", bare) if _GROUPED.fullmatch(bare) else bare.replace(",", ".")
        try:
            return float(bare)
        except ValueError:
            return None
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _usable(guess: object) -> bool:
    """Whether a guess is a word or a number; not a list, and not NaN."""
    if isinstance(guess, bool) or (isinstance(guess, str) and guess.strip()):
        return True
    number = as_number(guess)
    return number is not None and math.isfinite(number)


def _verdict(guess: object, outcome: object) -> str:
    """Return a tick, a cross, by what factor two numbers differ, or how far two counts are apart."""
    numbers = as_number(guess), as_number(outcome)
    if None in numbers:
        return "✓" if str(guess).strip().casefold() == str(outcome).strip().casefold() else "✗"
    guessed, measured = numbers
    if not math.isfinite(measured):
        return "✗"
    if guessed == measured or abs(guessed - measured) <= AGREE * abs(measured):
        return "✓"
    counted = isinstance(outcome, int) and abs(outcome) <= COUNT
    if guessed * measured > 0 and not counted:
        factor = max(guessed / measured, measured / guessed)
        return message("predict.factor", factor=shown(float(f"{factor:.3g}")))
    return message("predict.apart", difference=shown(abs(guessed - measured)))


def _label(row: str) -> str:
    try:
        return t(row)
    except CourseError:
        return row
