"""The rows of what a trainer prints while it trains, where each line names its numbers.

    for number, row in console_rows(lines): ...     # "iter 10: loss 3.2, lr 1e-3" is {"iter": "10", …}

So print nanoGPT, Megatron-LM, torchtitan, llm.c, fairseq and most loops of one's own. A line without a number
that the check looks at is no row, and neither is a progress bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from minigpt.importers.names import matters

LLM_C = {"s": "step", "trl": "loss", "tel": "val_loss", "norm": "grad_norm"}  # short names of its main.log
MEGATRON = {"validation loss at iteration": "step", "lm loss value": "val_loss"}
DIALECTS = {"trl": LLM_C, "tel": LLM_C, "lm loss value": MEGATRON}  # by a name that nobody else uses
NOT_TRAINING = re.compile(r"(?i)\b(val|valid|validation|eval|evaluation|test)\b")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
WORD = r"(?i:nan|inf|infinity)(?=\s*(?:[,;|(){}\]\"']|$))"  # and not “nan iterations: 0”
NUMBER = rf"[-+]?(?:[\d.][\w.+-]*(?:,\d{{3}}(?!\d))*|{WORD})"
NAMED = re.compile(  # a name is all the words before its number, so that “aux loss” is not “loss”
    r"""(?<![\w.])(?P<quote>["']?)(?P<name>[A-Za-z_](?:[\w./ -]|:(?=[A-Za-z])){0,80}?)(?P=quote)"""
    rf"""(?:\s{{0,80}}[:=]\s{{0,80}}["']?|\s{{1,80}})(?P<number>{NUMBER})"""
)
SOURCE = re.compile(r"(.* - |[A-Z]+:[\w.]+:)")  # date, name and level, as loggers write them before a message


def named_numbers(line: str) -> dict[str, str]:
    """Return the numbers of a line by the name before each, both as text."""
    found = {}
    for match in NAMED.finditer(COLOUR.sub("", line)):
        name = SOURCE.sub("", match["name"], count=1).strip()
        found.setdefault(name, match["number"].rstrip(".-+"))
    return found


def console_rows(
    lines: Iterable[tuple[int, str]], asked: Mapping[str, str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows among lines, each with the number of its line; `asked` as in `rows_of`."""
    for number, line in lines:
        if not line.endswith("\n"):
            return  # torn by a kill
        for part in line.split("\r"):
            row = named_numbers(part)
            names = next((DIALECTS[name] for name in row if name in DIALECTS), {})
            looked = NOT_TRAINING.search(part)
            if looked and not any(NOT_TRAINING.search(name.replace("_", " ")) for name in row):
                names = {"loss": f"{looked[1]} loss"}  # “[eval] step 10 loss 3.2”
            row = {names.get(name.lower(), name): value for name, value in row.items()}
            if any(matters(name, asked) for name in row):
                yield number, row
