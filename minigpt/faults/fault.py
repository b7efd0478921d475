"""What a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minigpt.messages import MiniGPTError, message


class FaultError(MiniGPTError):
    """A fault that is not known, or a severity that it cannot have."""


@dataclass(frozen=True)
class Fault:
    """One way to break a run."""

    id: str
    part: str  # the field of Recipe that it exchanges
    leaf: str  # the leaf of the stability check that must find it
    patch: Callable  # (part, recipe, severity) -> broken part
    severity: float | None = None  # how strong it is by default; None where there is nothing to turn

    def text(self, name: str, language: str | None = None) -> str:
        """Return one of its texts: "title", "breaks", "symptom" or "fix"."""
        return message(f"faults.{self.id}.{name}", language)
