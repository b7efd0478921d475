"""Do training and validation text share items, or pieces? A validation loss means nothing when they do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minigpt.data.tokenizer import Tokenizer

SHORTEST = 8  # tokens: shorter lines may stand on both sides by chance
CHARACTERS = 50  # of a piece: what two texts share at this length was copied (GPT-4 report, appendix C)
SAMPLE = 10_000  # tokens that are decoded to learn how many make up such a piece
CHUNK = 1_000_000  # training tokens that are compared at a time, to bound the memory
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no token is lost modulo 2**64


def overlap(train: Tensor, validation: Tensor, tokenizer: Tokenizer) -> dict[str, float | None]:
    """Return `shared_lines` and `shared_ngrams`, the latter for pieces of about `CHARACTERS` characters."""
    sample = validation[:SAMPLE].tolist()
    n = max(round(CHARACTERS * len(sample) / max(len(tokenizer.decode(sample)), 1)), 2)
    return {
        "shared_lines": shared_lines(train, validation, tokenizer.newline),
        "shared_ngrams": shared_ngrams(train, validation, n),
    }


def shared_ngrams(train: Tensor, validation: Tensor, n: int) -> float | None:
    """Return the share of the validation text's n-grams that the training text holds too.

    They are compared by hashes of 64 bits.

    Args:
        train, validation: (N,) and (M,) token ids.

    Returns:
        None when the validation text is shorter than `n` tokens.
    """
    wanted = _hashes(validation, n)
    if not len(wanted):
        return None
    found = np.zeros(len(wanted), dtype=bool)
    for start in range(0, len(train), CHUNK):
        found |= np.isin(wanted, _hashes(train[start : start + CHUNK + n - 1], n))
    return float(found.mean())


def _hashes(tokens: Tensor, n: int) -> NDArray[np.uint64]:
    """(len(tokens) − n + 1,) a polynomial hash of every n-gram, modulo 2**64."""
    ids = tokens.to("cpu", torch.int64).numpy().astype(np.uint64)
    hashes = np.zeros(max(len(ids) - n + 1, 0), dtype=np.uint64)
    for offset in range(n if len(hashes) else 0):
        hashes = hashes * FACTOR + ids[offset : offset + len(hashes)] + np.uint64(1)
    return hashes


def shared_lines(train: Tensor, validation: Tensor, newline: int) -> float | None:
    """Return the share of the validation lines that are also training lines.

    Args:
        train, validation: (N,) and (M,) token ids.
        newline: id of the line break.

    Returns:
        None when the validation text has no whole line of `SHORTEST` tokens.
    """
    known = set(_lines(train, newline))
    lines = _lines(validation, newline)
    return sum(line in known for line in lines) / len(lines) if lines else None


def _lines(tokens: Tensor, newline: int) -> list[bytes]:
    ends = (tokens == newline).nonzero()[:, 0].tolist()
    ids = tokens.to("cpu", torch.int32).numpy()
    starts = [0, *(end + 1 for end in ends)]
    return [
        ids[start:end].tobytes() for start, end in zip(starts, ends, strict=False) if end - start >= SHORTEST
    ]
