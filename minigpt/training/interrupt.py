"""Ctrl-C that saves: the first one asks the loop to finish its step and stop, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and everything is saved."""


class Interrupt:
    """A context in which an interrupt or termination signal sets `asked` instead of raising."""

    def __init__(self, patient: bool = False):
        """With `patient`, a second signal is treated like the first: `torchrun` passes each one on to its
        processes, which the terminal has told already."""
        self.asked = False
        self._patient = patient
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():  # the only one that may set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked and not self._patient:
            raise KeyboardInterrupt
        self.asked = True
