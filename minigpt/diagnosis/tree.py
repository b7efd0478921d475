"""The questions of the stability check, as data.

A question names its evidence, its thresholds, and the leaves it can end in. Its `judge` turns evidence into a
finding, and never looks at anything but the evidence. Source: seed 003 (the Phase 18 decision tree), its gaps
and mistakes mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minigpt.runs.evidence import Evidence


class Verdict(StrEnum):
    """What a question can answer."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_MEASURED = "not-measured"
    PHASE_19 = "phase-19"  # a matter of dynamics, handed over
    UNKNOWN = "unknown"  # something is wrong and the evidence does not say what


@dataclass(frozen=True)
class Finding:
    """The answer to one question: the verdict, the figures behind it, and the leaf when it failed."""

    question: str
    verdict: Verdict
    values: Mapping[str, Any] = field(default_factory=dict)
    leaf: str | None = None
    symptom: bool = False  # it was seen that something is wrong, and a cause may yet be found


@dataclass(frozen=True)
class Question:
    """One node of the tree."""

    id: str
    thresholds: Mapping[str, float]
    leaves: tuple[str, ...]
    judge: Callable[[Question, Evidence], Finding]
    symptom: bool = False  # its evidence is the course of the run, which faults of every kind disturb

    def passed(self, **values: Any) -> Finding:
        """The evidence is as it should be."""
        return Finding(self.id, Verdict.PASS, values)

    def warned(self, **values: Any) -> Finding:
        """Odd, but no fault."""
        return Finding(self.id, Verdict.WARN, values)

    def failed(self, leaf: str, **values: Any) -> Finding:
        """A fault, and its leaf."""
        assert leaf in self.leaves
        return Finding(self.id, Verdict.FAIL, values, leaf, self.symptom)

    def handed_over(self, leaf: str, **values: Any) -> Finding:
        """A fault of the dynamics, which Phase 19 takes on."""
        assert leaf in self.leaves
        return Finding(self.id, Verdict.PHASE_19, values, leaf, symptom=True)

    def unknown(self, **values: Any) -> Finding:
        """A fault, and no evidence that tells which."""
        return Finding(self.id, Verdict.UNKNOWN, values, symptom=True)

    def not_measured(self, **values: Any) -> Finding:
        """The evidence was not recorded, or the question does not apply."""
        return Finding(self.id, Verdict.NOT_MEASURED, values)
