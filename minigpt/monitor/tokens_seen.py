"""The tokens that a model was given in each step: does the same data come again, and how even are they?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minigpt.monitor import rest
from minigpt.training.instruments.repetition import checksum, repetition

KEPT = 20_000  # steps whose batches are remembered
COUNTED_EVERY = 4  # steps of which one is counted for the entropy of single tokens,
ENOUGH = 400  # until so many were made; then those that are looked at closely


class TokensSeen:
    """Remembers a checksum of each step's batches, and how often each token came."""

    def __init__(self, vocab_size: int):
        self._micros: list[Tensor | int] = []  # of the step that goes on
        self._steps: list[tuple[Tensor | int, ...]] = []
        self._counts: Tensor | None = None
        self._vocab_size = vocab_size
        self._weights: Tensor | None = None
        self._twice = 0  # steps in which one batch was accumulated more than once
        self._several = 0  # steps of several micro-batches

    def note(self, ids: Tensor) -> Tensor | int | None:
        """Note what a forward pass was given, (B, T), and return its checksum."""
        if len(self._steps) >= KEPT:
            return None
        self._micros.append(self._checksum(ids))
        return self._micros[-1]

    def _checksum(self, ids: Tensor) -> Tensor | int:
        if ids.is_cpu:
            return checksum(ids)
        if self._weights is None or len(self._weights) < ids.numel() or self._weights.device != ids.device:
            generator = torch.Generator().manual_seed(0)
            weights = torch.randint(1, 2**31, (ids.numel(),), generator=generator)
            self._weights = weights.to(ids.device)
        return (ids.detach().reshape(-1) * self._weights[: ids.numel()]).sum()

    def end_step(self, step: int, ids: Tensor | None, accumulated: int) -> bool:
        """Close a step of `accumulated` backward passes; return whether one batch was accumulated twice."""
        if ids is not None and (step % COUNTED_EVERY == 0 if step < ENOUGH else rest.look(step)):
            inside = ids.detach().reshape(-1).clamp(0, self._vocab_size - 1)
            counts = torch.bincount(inside, minlength=self._vocab_size)
            self._counts = counts if self._counts is None else self._counts + counts
        several = accumulated > 1 and len(self._micros) == accumulated
        twice = several and self._same(self._micros)
        self._several += several
        self._twice += twice
        if self._micros:
            self._steps.append(tuple(self._micros))
        self._micros = []
        return twice

    def forget_step(self) -> None:
        """Leave out what was seen since the last step."""
        self._micros = []

    @staticmethod
    def _same(micros: list[Tensor | int]) -> bool:
        return isinstance(micros[0], int) and len({int(micro) for micro in micros}) < len(micros)

    def evidence(self, stream: bool) -> dict[str, Any] | None:
        """Return how many steps repeat earlier ones in the same order, and after how many.

        Args:
            stream: whether a batch goes on where the one before it ended; such data has one order only.
        """
        found = repetition([tuple(map(int, step)) for step in self._steps], stream)
        if found is not None:
            found["accumulated_twice"] = self._twice / self._several if self._several else 0.0
        return found

    def spread(self) -> dict[str, Any] | None:
        """Return how many ids came, and the highest of them; None where too few tokens were seen to tell."""
        if self._counts is None or not (seen := (self._counts > 0).nonzero()[:, 0]).numel():
            return None
        return {
            "seen": len(seen),
            "highest": int(seen[-1]),
            "tokens": int(self._counts.sum()),
            "vocab_size": self._vocab_size,
        }

    def first(self, steps: int) -> list[list[int]]:
        """Return the checksums of the first steps, a list of micro-batches each."""
        return [[int(micro) for micro in step] for step in self._steps[:steps]]

    def entropy(self) -> float | None:
        """Return the entropy of single tokens in nats, None where too few were seen to tell."""
        if self._counts is None or int(total := self._counts.sum()) < 20 * int((self._counts > 0).sum()):
            return None
        share = self._counts[self._counts > 0].double() / total
        return float(-(share * share.log()).sum())
