"""What a monitor is told, and what of it cannot be: refused at once, for later it would only be silent.

refuse_impossible(names, groups, vocab_size=50257, schedule=None, frozen=["head"], writes=[], multipliers={})
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from minigpt.messages import MiniGPTError, nearest

MOST_ASKED = 20_000  # steps of a schedule that are written down
LATER = re.compile(r"\d+(\..+)?")  # a group that may be added, or one of an optimizer that is yet to step


@dataclass(frozen=True)
class Asked:
    """The arguments of a `Monitor`, by their names there."""

    vocab_size: int
    schedule: Callable[[int], float] | None
    warmup_steps: int
    frozen: tuple[str, ...]
    writes: tuple[str, ...]
    starts_from: str | None
    multipliers: Mapping[str, float]
    sharpness_every: int = 0

    def settings(self) -> dict[str, Any]:
        """Return what the run's manifest says was asked for."""
        return {
            "vocab_size": self.vocab_size,
            "warmup_steps": self.warmup_steps if self.schedule else 0,
            "freeze": list(self.frozen),
            "multipliers": dict(self.multipliers),
        }


def refuse_impossible(
    names: Collection[str],
    groups: Collection[str],
    *,
    vocab_size: Any,
    schedule: Callable[[int], float] | None,
    frozen: Collection[str],
    writes: Collection[str],
    multipliers: Collection[str],
    sharpness_every: Any = 0,
) -> None:
    """Refuse arguments of a `Monitor` that say nothing about this model and optimizer.

    Args:
        names: of the model's parameters.
        groups: of the optimizer, by name or number.

    Raises:
        MiniGPTError: one of them does.
    """
    if not isinstance(vocab_size, Integral) or vocab_size < 2:
        raise MiniGPTError("monitor.bad-vocab-size", given=repr(vocab_size))
    if not isinstance(sharpness_every, Integral) or sharpness_every < 0:
        raise MiniGPTError("monitor.bad-sharpness-every", given=repr(sharpness_every))
    for argument, prefixes in (("frozen", frozen), ("writes", writes)):
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in names):
                hint = nearest(prefix, names)
                raise MiniGPTError("monitor.unknown-parameter", given=prefix, argument=argument, hint=hint)
    for group in multipliers:
        if group not in groups and not LATER.fullmatch(str(group)):
            known = ", ".join(sorted(groups))
            raise MiniGPTError("monitor.unknown-group", given=group, known=known)
    if schedule is not None:
        try:
            float(schedule(0))
        except Exception as error:  # an external function may raise anything
            detail = f"{type(error).__name__}: {error}"
            raise MiniGPTError("monitor.bad-schedule", detail=detail) from error


def rates_asked(schedule: Callable[[int], float], far: int) -> tuple[list[int], list[float]]:
    """Return steps below `far`, evenly spread, and the rate that a schedule asks for at each."""
    steps, rates = range(0, far, max(far // MOST_ASKED, 1)), []
    for step in steps:
        try:
            rates.append(float(schedule(step)))
        except Exception:  # an external function may raise anything where the run ends
            break
    return list(steps)[: len(rates)], rates
