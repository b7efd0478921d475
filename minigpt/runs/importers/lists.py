"""Curves that a script prints whole: “train_losses = [4.2, 3.9, …]”, or the history that Keras keeps.

lists_in("val_loss: [3.1, 2.9, 2.8, 2.7, 2.6]", {})       # {"val_loss": ["3.1", "2.9", …]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from minigpt.runs.importers.files import open_text
from minigpt.runs.importers.names import NAMES, matters, plain

FEWEST = 5  # numbers of a curve; fewer are a setting, as “betas = [0.9, 0.95]” is
LARGEST = 1 << 24  # characters of a file of such lists,
HEAD = 500  # and lines in which one begins: further down a log has rows of its own
OPENS = re.compile(
    r"[\w\"'][ \t]{0,20}[:=][ \t]{0,20}\[[ \t]{0,20}(?:[-+.\d]|nan|np\.|tensor|array|$)", re.IGNORECASE
)
LIST = re.compile(
    r"""["']?(?P<name>[A-Za-z_][\w./ -]{0,60}?)["']?\s{0,20}[:=]\s{0,20}\[(?P<body>[^\[\]=:]*)\]"""
)
NUMBER = re.compile(r"(?:[-+]?\d[\d.]*(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf(?:inity)?)$", re.IGNORECASE)
WRAPPED = re.compile(r"(?:np\.float\d\d|tensor|array|float)\(|\)")


def lists_in(text: str, asked: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the lists of numbers by name, where one of them is a loss; an empty dictionary otherwise."""
    found = {}
    for match in LIST.finditer(text):
        name = _singular(match["name"].strip(), asked)
        numbers = [part.strip() for part in WRAPPED.sub("", match["body"]).split(",") if part.strip()]
        if len(numbers) >= FEWEST and matters(name, asked) and all(map(NUMBER.match, numbers)):
            found[name] = numbers
    losses = NAMES["loss"] + NAMES["val_loss"]
    return found if any(plain(name) in losses or name in asked.values() for name in found) else {}


def list_rows(path: Path, asked: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, str]]] | None:
    """Return a row for each place of the longest list; None where the file holds no such lists.

    A shorter list, as one look at validation every few steps, is spread evenly over the longest.
    """
    with open_text(path, "\n") as file:
        if not any(map(OPENS.search, islice(iter(lambda: file.readline(LARGEST), ""), HEAD))):
            return None
        file.seek(0)
        text = file.read(LARGEST)
    lists = lists_in(text, asked)
    return _rows(lists) if lists else None


def _rows(lists: Mapping[str, list[str]]) -> Iterator[tuple[int, Mapping[str, str]]]:
    count = max(map(len, lists.values()))
    places = {
        name: {(at + 1) * count // len(numbers) - 1: number for at, number in enumerate(numbers)}
        for name, numbers in lists.items()
    }
    for at in range(count):
        yield at + 1, {name: numbers[at] for name, numbers in places.items() if at in numbers}


def _singular(name: str, asked: Mapping[str, str]) -> str:
    """Return “train_loss” for “train_losses”, and “lr” for “lrs”."""
    if matters(name, asked):
        return name
    for ending in ("es", "s"):
        if name.endswith(ending) and matters(name.removesuffix(ending), asked):
            return name.removesuffix(ending)
    return name
