"""The dynamics tree (Phase 19): does the run stay healthy while it trains?

The order is that of the damage: numbers that are not finite, spikes, drift, memory, and what makes no noise.
Conformance questions (a copy, a checksum, an order of calls) name causes; those that read the course of the
run are symptoms, named only where nothing certain was found.
"""

from __future__ import annotations

from minigpt.diagnosis.tree import Tree
from minigpt.diagnosis.trees.dynamics.drift import DRIFT_QUESTIONS
from minigpt.diagnosis.trees.dynamics.memory import MEMORY_QUESTIONS
from minigpt.diagnosis.trees.dynamics.nonfinite import NON_FINITE_QUESTIONS
from minigpt.diagnosis.trees.dynamics.silent import SILENT_QUESTIONS
from minigpt.diagnosis.trees.dynamics.spikes import SPIKE_QUESTIONS

DYNAMICS = Tree(
    "dynamics",
    (
        *NON_FINITE_QUESTIONS,
        *SPIKE_QUESTIONS,
        *DRIFT_QUESTIONS,
        *MEMORY_QUESTIONS,
        *SILENT_QUESTIONS,
    ),
)

__all__ = ["DYNAMICS"]
