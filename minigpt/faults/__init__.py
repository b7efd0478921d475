"""Faults: what goes wrong in training runs, as data plus one small patch of one part of a recipe.

    recipe.with_fault("init-scale")        # at its usual severity
    recipe.with_fault("init-scale:10")     # ten times the right scale

`FAULTS` holds them by id. Their texts (title, what breaks, symptom, fix) are messages `faults.<id>.<text>`.
"""

from __future__ import annotations

from minigpt.faults.fault import Fault, FaultError
from minigpt.faults.learning import LEARNING_FAULTS
from minigpt.faults.loop import LOOP_FAULTS
from minigpt.faults.schedule import SCHEDULE_FAULTS
from minigpt.faults.start import START_FAULTS
from minigpt.messages import nearest

CATALOGUE = (*START_FAULTS, *SCHEDULE_FAULTS, *LOOP_FAULTS, *LEARNING_FAULTS)
FAULTS: dict[str, Fault] = {fault.id: fault for fault in CATALOGUE}


def find_fault(name: str, severity: float | None = None) -> tuple[Fault, float | None]:
    """Return the fault that `name` ("id" or "id:severity") asks for, with the severity to apply it at.

    Raises:
        FaultError: no fault has that id, or the severity is not a number or not one of this fault's settings.
    """
    id, _, suffix = name.partition(":")
    if id not in FAULTS:
        raise FaultError("faults.unknown", given=id, hint=nearest(id, FAULTS))
    fault = FAULTS[id]
    if suffix:
        try:
            severity = float(suffix)
        except ValueError as error:
            raise FaultError("faults.severity-not-a-number", id=id, given=suffix) from error
    if severity is None:
        return fault, fault.severity
    if fault.severity is None:
        raise FaultError("faults.no-severity", id=id)
    return fault, severity


__all__ = ["FAULTS", "Fault", "FaultError", "find_fault"]
