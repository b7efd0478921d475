"""Faults: what goes wrong in training runs, as data plus one small patch of one part of a recipe.

    recipe.with_fault("init-scale")        # at its usual severity
    recipe.with_fault("init-scale:10")     # ten times the right scale

`FAULTS` holds them by id. Their texts (title, what breaks, symptom, fix) are messages `faults.<id>.<text>`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from minigpt.config import Config
from minigpt.faults.dynamics import DYNAMICS_FAULTS
from minigpt.faults.fault import Fault, FaultError
from minigpt.faults.handover import HANDOVER_FAULTS
from minigpt.faults.learning import LEARNING_FAULTS
from minigpt.faults.loop import LOOP_FAULTS
from minigpt.faults.memory import MEMORY_FAULTS
from minigpt.faults.plasticity import PLASTICITY_FAULTS
from minigpt.faults.precision import PRECISION_FAULTS
from minigpt.faults.schedule import SCHEDULE_FAULTS
from minigpt.faults.start import START_FAULTS
from minigpt.messages import nearest
from minigpt.training.catalogue import register_faults

CATALOGUE = (
    *(*START_FAULTS, *SCHEDULE_FAULTS, *LOOP_FAULTS, *LEARNING_FAULTS),
    *(*MEMORY_FAULTS, *DYNAMICS_FAULTS, *PRECISION_FAULTS, *PLASTICITY_FAULTS),
    *HANDOVER_FAULTS,
)
FAULTS: dict[str, Fault] = {fault.id: fault for fault in CATALOGUE}


def find_fault(name: str, severity: float | None = None) -> tuple[Fault, float | None]:
    """Return the fault that `name` ("id" or "id:severity") asks for, with the severity to apply it at.

    Raises:
        FaultError: no fault has that id, the severity is not a number, or it cannot be set.
    """
    id, _, suffix = name.partition(":")
    if id not in FAULTS:
        raise FaultError("faults.unknown", given=id, hint=nearest(id.lower(), FAULTS))
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
    if not math.isfinite(severity):
        raise _harmless(fault, severity)
    return fault, severity


def _harmless(fault: Fault, severity: float) -> FaultError:
    given, meaning = f"{severity:g}", fault.text("severity")
    return FaultError("faults.bad-severity", id=fault.id, given=given, meaning=meaning)


def refuse_idle(asked: Sequence[str], name: str, config: Config) -> None:
    """Refuse the fault `name` where a run with `config` and the faults `asked` would not be broken by it.

    Raises:
        FaultError: it is asked for already, breaks nothing at this severity or with this config, or undoes
            another.
    """
    fault, severity = find_fault(name)
    if severity is not None and not fault.breaks_at(severity):
        raise _harmless(fault, severity)
    earlier = [find_fault(other)[0] for other in asked]
    if fault in earlier:
        raise FaultError("faults.twice", id=fault.id)
    if setting := fault.idle(config, severity):
        value = getattr(config, setting)
        raise FaultError(
            "faults.idle", id=fault.id, name=setting, given=value, option=setting.replace("_", "-")
        )
    hidden = [other.id for other in earlier if other.part == fault.part]
    if fault.replaces and hidden:
        raise FaultError("faults.hides", id=fault.id, other=hidden[0])


register_faults(find_fault)

__all__ = ["FAULTS", "Fault", "FaultError", "find_fault", "refuse_idle"]
