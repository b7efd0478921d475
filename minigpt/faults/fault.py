"""What a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minigpt.config import Config
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
    severity: float | None = None  # how strong it is by default; None: not adjustable
    breaks_at: Callable[[float], bool] = lambda severity: severity > 0  # whether that breaks anything
    # (config, severity) -> the setting that leaves it nothing to break, or None
    idle: Callable[[Config, float | None], str | None] = lambda config, severity: None
    replaces: bool = False  # whether it discards the original part, and any earlier fault on it

    def text(self, name: str, language: str | None = None) -> str:
        """Return one of its texts: "title", "breaks", "symptom", "fix"; with a severity, "severity" too."""
        return message(f"faults.{self.id}.{name}", language)
