"""Where recipes find faults by id. Training knows none: `minigpt.faults` registers here when it is imported.

    from minigpt import Recipe        # loads both
    Recipe().with_fault("init-scale")

Nothing here needs torch, so the list of faults can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from minigpt.messages import MiniGPTError


class Patch(Protocol):
    """What a recipe asks of a fault; `minigpt.faults.Fault` is one."""

    id: str
    part: str  # the field of Recipe that it exchanges
    severity: float | None  # the usual one; None where there is none to set
    patch: Callable[..., Any]  # (part, recipe, severity) -> broken part


FindFault = Callable[[str, float | None], tuple[Patch, float | None]]
_registered: list[FindFault] = []


def register_faults(find: FindFault) -> None:
    """Let recipes find faults with `find`, which takes an id or "id:severity", and a severity."""
    _registered[:] = [find]


def find_registered(fault: str, severity: float | None = None) -> tuple[Patch, float | None]:
    """Return a fault, and the severity to apply it at.

    Raises:
        MiniGPTError: no fault has that id, it has no severity to set, or no catalogue is registered.
    """
    if not _registered:
        raise MiniGPTError("faults.not-loaded", id=fault)
    return _registered[0](fault, severity)
