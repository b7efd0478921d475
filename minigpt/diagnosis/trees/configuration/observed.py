"""What a monitor observed of a loop, by name; None where nothing was."""

from __future__ import annotations

from typing import Any

from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Observed


def observed(evidence: Evidence, name: str) -> Any:
    """Return what was observed under a name, None where nothing was."""
    found = evidence.audits.get(Observed.kind)
    return getattr(found[-1], name) if found else None
