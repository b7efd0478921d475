"""A loss that a log tells in another unit alone: a perplexity, or bits per byte or character.

unit_of("valid_mlm_ppl") == ("val_loss", "perplexity")
in_nats("bits", [1.0])                     # array([0.6931])
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PERPLEXITY, BITS = "perplexity", "bits"
WORDS = {
    "ppl": PERPLEXITY,
    "pplx": PERPLEXITY,
    "perplexity": PERPLEXITY,
    "perplejidad": PERPLEXITY,
    "bpb": BITS,
    "bpc": BITS,
}
HELD_OUT = re.compile(r"val|valid|validation|validacion|eval|evaluation|test|dev|heldout")


def unit_of(name: str) -> tuple[str, str] | None:
    """Return which of our losses a column tells, and in which unit; None for any other.

    Args:
        name: of the column, plain (`minigpt.runs.importers.names.plain`).
    """
    words = name.split("_")
    unit = next((WORDS[word] for word in words if word in WORDS), None)
    if unit is None:
        return None
    return "val_loss" if any(map(HELD_OUT.fullmatch, words)) else "loss", unit


def in_nats(unit: str, values: Sequence[float]) -> NDArray[np.float64]:
    """Return values of a unit in nats; a perplexity below 0 is none and becomes NaN."""
    found = np.asarray(values, np.float64)
    if unit == BITS:
        return found * math.log(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(found)
