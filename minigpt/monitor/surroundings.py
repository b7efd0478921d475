"""What lies beside a step in progress: a gradient scaler or a schedule that the loop holds in a variable.

Nothing is asked for that the loop does not have at hand: the frames of the call are looked through once or
twice, and nothing in them is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

FRAMES = 24
COUNTED = 100  # steps of which it is noted where a schedule stands


def _values(start: int) -> Iterator[Any]:
    """Yield what the variables of the calling frames hold, and what hangs on their objects."""
    try:
        frame = sys._getframe(start)
    except ValueError:
        return
    seen: set[int] = set()
    for _ in range(FRAMES):
        if frame is None:
            return
        for space in (frame.f_locals, frame.f_globals):
            if id(space) in seen:
                continue
            seen.add(id(space))
            for name, value in list(space.items()):
                yield value
                if name in ("self", "trainer", "accelerator", "engine"):
                    yield from list(getattr(value, "__dict__", {}).values())
        frame = frame.f_back


def find(fits: Callable[[Any], bool], start: int = 2) -> Any | None:
    """Return the first object around that fits, looking inside lists and behind `accelerate`'s wrappers."""
    for value in _values(start + 1):
        for one in value if type(value) in (list, tuple) and len(value) < 16 else (value,):
            for inner in (one, _plain_attribute(one, "scheduler")):
                try:
                    if inner is not None and fits(inner):
                        return inner
                except Exception:  # an external object may do anything when asked
                    continue
    return None


def _plain_attribute(value: Any, name: str) -> Any:
    held = getattr(type(value), "__name__", "")
    if not held.startswith("Accelerated"):
        return None
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    # which steps the schedule of one process once for each of several
    return None if distributed and torch.distributed.get_world_size() > 1 else vars(value).get(name)


def scaler_at_hand() -> torch.amp.GradScaler | None:
    """Return a gradient scaler that is in use."""
    return find(lambda one: isinstance(one, torch.amp.GradScaler) and one._scale is not None)


def schedule_of(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Return the scheduler of an optimizer, if it is at hand."""
    kind = torch.optim.lr_scheduler.LRScheduler

    def fits(one: Any) -> bool:
        if not isinstance(one, kind):
            return False
        theirs = one.optimizer
        return theirs is optimizer or getattr(theirs, "optimizer", None) is optimizer

    return find(fits)


class Scheduling:
    """How often a scheduler was stepped for each step of its optimizer."""

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._counts: list[int] = []
        self._looks = 0

    def note(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Look for the scheduler in the first steps, and note its count."""
        if self._scheduler is None and self._looks < 3 and not self._counts:
            self._looks += 1
            self._scheduler = schedule_of(optimizer)
        if self._scheduler is not None and len(self._counts) < COUNTED:
            self._counts.append(int(getattr(self._scheduler, "last_epoch", 0)))

    def give(self, scheduler: Any) -> None:
        """Take a scheduler that a trainer hands over."""
        self._scheduler = scheduler

    def evidence(self) -> dict[str, Any] | None:
        """Return the scheduler's kind, and its counts for each step, None where none is at hand."""
        if self._scheduler is None or len(self._counts) < 4:
            return None
        taken = self._counts[-1] - self._counts[0]
        return {
            "kind": type(self._scheduler).__name__,
            "counted": self._counts[-1],
            "steps": len(self._counts),
            "each": taken / (len(self._counts) - 1),
        }
