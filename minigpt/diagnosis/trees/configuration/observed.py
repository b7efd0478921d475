"""What was observed of a loop beside its figures, by name; None where nothing was."""

from __future__ import annotations

from typing import Any

from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Observed

MIXING_CHANGE = 1e-3  # beyond the rounding of float32; coarser numbers have a tolerance of their own


def observed(evidence: Evidence, name: str) -> Any:
    """Return what was observed under a name, None where nothing was."""
    found = evidence.audits.get(Observed.kind)
    return getattr(found[-1], name) if found else None


def mixing_limit(later: dict[str, Any]) -> float:
    """Return how far a row's logits may move with its neighbour or its place, in their standard deviation."""
    return max(MIXING_CHANGE, later.get("mixing_tolerance", 0.0))
