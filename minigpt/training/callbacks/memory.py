"""Figures of memory in the record of a step, for a model that has one.

    record["memory"]["gate_entropy"]      # one for each layer
    record["train"]["stm_size"]           # the series train/stm_size of a logger

Every `EVERY` steps, at the last step, and at the first `WRITES` steps that wrote to a long-term memory, so
that growth from write to write can be seen.
"""

from __future__ import annotations

from typing import Any

from minigpt.model.mixers.memory import memory_figures, memory_sizes
from minigpt.model.state import has_memory

EVERY = 10  # steps
WRITES = 40


class MemoryWatch:
    """The callback. It reads what the last forward pass has left, and changes nothing."""

    def __init__(self) -> None:
        self._writes = 0
        self._remembers = True

    def on_start(self, trainer) -> None:
        """See whether there is anything to watch; a resumed run has written already."""
        self._remembers = has_memory(trainer.model)
        figures = memory_figures(trainer.model) if self._remembers else None
        self._writes = max(figures["writes"]) if figures else 0

    def on_record(self, trainer, record: dict[str, Any]) -> None:
        """Add the figures where they are due."""
        if not self._remembers or record.get("dropped"):
            return
        figures = memory_figures(trainer.model)
        if figures is None:
            return
        done, writes = record["step"] + 1, max(figures["writes"])
        wrote = writes != self._writes and writes <= WRITES
        self._writes = writes
        if wrote or record["step"] % EVERY == 0 or done == trainer.config.steps:
            record |= {"memory": figures, "train": memory_sizes(trainer.model)}
