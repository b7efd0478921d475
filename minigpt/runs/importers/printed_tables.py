"""Tables among printed lines: numbers below a line of names, as fastai, notebooks and model cards show them.

| Step | Training Loss | Validation Loss |        epoch  train_loss  valid_loss  time
|:----:|:-------------:|:---------------:|        0      4.16        4.20        00:12
| 500  | 3.2           | 3.3             |
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minigpt.runs.importers.names import OTHER_COUNTS, counts_steps, matters, plain

NUMERIC = re.compile(
    r"[-+]?(\d[\d.,]*([eE][-+]?\d+)?%?|nan|inf|infinity|no log|n/?a|-+|none)?$", re.IGNORECASE
)
RULE = re.compile(r"[\s|:+=.\u2500-\u257f-]*$")  # also the dots of rows that pandas leaves out
TIME = re.compile(r"\d+:\d\d(:\d\d)?$")
LONGEST = 2000  # characters of a line that may be a row


class PrintedTable:
    """Remembers the header above the line that is read."""

    def __init__(self, asked: Mapping[str, str]):
        self._asked = asked
        self._names: list[str] = []
        self._divider = ""

    def row(self, line: str) -> dict[str, str] | None:
        """Return the row that a line is; an empty one for a header or a rule, None for any other line."""
        if len(line) > LONGEST:
            return None
        if self._names:
            if RULE.match(line):
                return {}
            cells = _cells(line, self._divider)
            if len(cells) == len(self._names) + 1 and cells[0].isdigit():
                cells = cells[1:]  # pandas counts its rows
            if len(cells) == len(self._names) and not any(c and NUMERIC.match(c) for c in cells):
                names = [f"{n} {c}".strip() for n, c in zip(self._names, cells, strict=True)]
                if self._divider == "|" and self._is_header(names):
                    self._names = names  # a header of two lines
                    return {}
            if len(cells) == len(self._names) and all(NUMERIC.match(c) or TIME.match(c) for c in cells):
                return {n: c for n, c in zip(self._names, cells, strict=True) if c and not TIME.match(c)}
        for divider in ("|", "\t", "  ", " "):
            if divider in line.strip():
                names = _cells(line, divider)
                if self._is_header(names):
                    self._names, self._divider = names, divider
                    return {}
        return None

    def _is_header(self, names: list[str]) -> bool:
        if len(names) < 2 or not all(re.match(r"[A-Za-z#][\w ./#%():-]*$", name) for name in names):
            return False
        known = sum(matters(name, self._asked) for name in names)
        counts = any(counts_steps(name, self._asked) or plain(name) in OTHER_COUNTS for name in names)
        return known >= 2 or known == 1 and counts and not counts_steps(names[-1], self._asked)


def _cells(line: str, divider: str) -> list[str]:
    if divider == "|":
        return [cell.strip() for cell in line.strip().strip("|").split("|")]
    if divider == "  ":
        return re.split(r"\s{2,}", line.strip())
    return [cell.strip() for cell in (line.strip("\r\n").split("\t") if divider == "\t" else line.split())]
