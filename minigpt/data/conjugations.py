"""Score generated text: conjugations of the verb table, and freely sampled lines.

sampler = Sampler.load("experiments/first")
shares = score_cells(sampler.lines)             # completes "yo trabajo /" to "yo trabajo / I work"
shares["regular"].value
judge("él come pan / he eats bread")            # Verdict.CORRECT
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from minigpt.data.corpus import Cell, table_cells
from minigpt.data.corpus.grammar import Item, pairs
from minigpt.data.corpus.lexicon import FORMS, verbs
from minigpt.data.corpus.spanish import SURFACES, verb_group
from minigpt.data.corpus.subjects import PERSONS

SEPARATOR = " / "


@dataclass(frozen=True)
class Share:
    """Correct out of total."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """The share in [0, 1]; 0 of nothing."""
        return self.right / self.of if self.of else 0.0

    def __str__(self) -> str:
        return f"{self.right}/{self.of}"


def prompt(cell: Cell) -> str:
    """Return what the model is given: "yo trabajo /".

    No space follows, because in the tokens a space belongs to the word after it.
    """
    return f"{cell.spanish} /"


def score_cells(
    complete: Callable[[list[str]], Sequence[str]], cells: Sequence[Cell] | None = None
) -> dict[str, Share]:
    """Return the share of cells that a model conjugates rightly, by group.

    Args:
        complete: takes prompts and returns each with the rest of its line, as `Sampler.lines` does.
        cells: correct cells; all 360 of the verb table by default.

    Returns:
        Shares under `all`; `regular` and `irregular` (in English); `train` and `validation` (the side on
        which the cell's line lies, so that `validation` tells what was learnt, not memorised).
    """
    cells = table_cells() if cells is None else cells
    lines = complete([prompt(cell) for cell in cells])
    scored = [(cell, line.strip() == str(cell)) for cell, line in zip(cells, lines, strict=True)]
    groups: dict[str, Callable[[Cell], bool]] = {
        "all": lambda cell: True,
        "regular": lambda cell: cell.verb_class == "regular",
        "irregular": lambda cell: cell.verb_class == "irregular",
        "train": lambda cell: cell.item.side == "train",
        "validation": lambda cell: cell.item.side == "validation",
    }
    return {
        name: _share(right for cell, right in scored if belongs(cell)) for name, belongs in groups.items()
    }


class Verdict(StrEnum):
    """What a sampled line is."""

    CORRECT = "correct"  # a pair that the grammar makes
    WRONG = "wrong"  # a pair, but not one that the grammar makes
    NOT_A_PAIR = "not-a-pair"  # not "spanish / english"


def judge(line: str) -> Verdict:
    """Tell whether a line is a correct pair: right in both languages, and the same thing in both."""
    spanish, separator, english = line.partition(SEPARATOR)
    if not (spanish.strip() and separator and english.strip()) or SEPARATOR in english:
        return Verdict.NOT_A_PAIR
    return (
        Verdict.CORRECT if any(line in _lines(item) for item in _possible_items(spanish)) else Verdict.WRONG
    )


def score_lines(lines: Iterable[str]) -> Share:
    """Return the share of lines that are correct pairs."""
    return _share(judge(line) is Verdict.CORRECT for line in lines)


def _share(rights: Iterable[bool]) -> Share:
    rights = list(rights)
    return Share(sum(rights), len(rights))


@lru_cache(maxsize=4096)
def _lines(item: Item) -> frozenset[str]:
    return frozenset(str(pair) for pair in pairs(item))


@lru_cache(maxsize=1)
def _groups() -> dict[str, list[tuple[str, str, str]]]:
    """Return the (verb, surface, person) that each conjugated group ("voy a trabajar") may stand for."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for verb in verbs().values():
        for surface in SURFACES:
            for person in PERSONS:
                # The person of gustar is in its clitic, and its ending follows what is liked.
                for ending in ("3sg", "3pl") if verb.gustar else (person,):
                    group = verb_group(verb, surface, ending)
                    groups.setdefault(group, []).append((verb.spanish, surface, person))
    return groups


def _possible_items(spanish: str) -> Iterator[Item]:
    words = f" {spanish.strip('¿?')} "
    for group, meanings in _groups().items():
        if f" {group} " in words:
            for meaning in meanings:
                for form in FORMS:
                    yield Item(*meaning, form)
