"""A question's clock: it stands still while the machine keeps the question waiting for a processor.

    clock = Clock(30)                            # seconds of wall clock
    clock = Clock(30, patience=90, proc=handle)  # and up to 90 more that the machine made it wait
    clock = Clock(30, processor=10)              # ends earlier if those who are watched compute for 10
    clock = Clock(30, stop=room.overfull)        # ends earlier with the reason that this gives, if it does
    clock.watch(pid)                             # a child whose waiting counts, until clock.forget(pid)
    clock.left()                                 # seconds that remain; 0 or less: time is up

On a busy machine an honest answer may take ten times its second; that is nobody's fault and costs no points.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

TICK = os.sysconf("SC_CLK_TCK")
CROWD = 10  # processes: a question needs four, and who starts many waits for nobody else
SMALLEST = 0.1  # seconds: waiting below that is no reason to go on


class Clock:
    """Counts down from `seconds`; `proc` is an open /proc of the machine, without it nothing is known."""

    def __init__(
        self,
        seconds: float,
        patience: float = 0.0,
        proc: int | None = None,
        processor: float | None = None,
        stop: Callable[[], str | None] | None = None,
    ):
        self.seconds, self.patience, self.proc, self.processor = seconds, patience, proc, processor
        self.stop = stop
        self.start = time.monotonic()
        self.given = 0.0  # seconds on top, so far
        self.busy = False  # whether time was up because patience was: then the machine may be to blame
        self.reason = "time"  # why nothing is left, as a word
        self._watched: dict[int, str] = {}
        self._computing: set[int] = set()
        self._computed = 0.0  # processor seconds of those that are forgotten
        self._waited = 0.0  # by those that are forgotten
        if proc is not None:
            self._before = self._waiting("self")

    def left(self) -> float:
        """Seconds that remain by now; where none do, what the machine owes is added first."""
        self.reason = "time"
        if self.processor is not None and self.computed() > self.processor:
            return -1.0
        if self.stop is not None and (word := self.stop()):
            self.reason = word
            return -1.0
        left = self.seconds + self.given - (time.monotonic() - self.start)
        if left > 0 or self.proc is None:
            return left
        # The kernel's own count of being runnable without a processor: sleeping and blocked on purpose are
        # none of it, whereas the pressure or load of the whole machine would favour a sleeper on a busy one.
        waited = (
            self._waiting("self")
            - self._before
            + self._waited
            + sum(map(self._waiting, self._watched.values()))
        )
        owed = waited - self.given
        if owed < SMALLEST or self._crowds():
            return left
        more = min(owed, self.patience - self.given)
        self.busy = more < SMALLEST
        self.given += more
        return left + more

    def computed(self) -> float:
        """Processor seconds of the watched processes, the forgotten ones included."""
        return self._computed + sum(map(_processor_seconds, self._computing))

    def watch(self, pid: int) -> None:
        """Count what this child waits for a processor, and what it computes."""
        self._computing.add(pid)
        if self.proc is None:
            return
        try:
            handle = os.pidfd_open(pid)
        except OSError:  # a kernel before 5.3
            return
        try:
            facts = self._read(f"self/fdinfo/{handle}")  # its number in the machine's own table
            self._watched[pid] = re.search(r"^Pid:\s*(\d+)", facts, re.MULTILINE)[1]
        except (OSError, TypeError):
            pass
        finally:
            os.close(handle)

    def forget(self, pid: int) -> None:
        """Keep what a child has waited and computed: it is about to be ended."""
        if pid in self._computing:
            self._computing.discard(pid)
            self._computed += _processor_seconds(pid)
        if pid in self._watched:
            self._waited += self._waiting(self._watched.pop(pid))

    def _waiting(self, pid: str) -> float:
        """Seconds that the main thread of a process was runnable and did not run."""
        try:
            return int(self._read(f"{pid}/schedstat").split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # it is gone, or the kernel does not count
            return 0.0

    def _crowds(self) -> bool:
        """Whether this process and all below it, ended ones included, keep the machine busy themselves."""
        parents, spent = {}, {}
        for name in filter(str.isdigit, os.listdir(self.proc)):
            try:
                facts = self._read(f"{name}/stat").rpartition(")")[2].split()
            except OSError:
                continue
            parents[name], spent[name] = facts[1], sum(map(int, facts[11:15])) / TICK
        below, total = [os.readlink("self", dir_fd=self.proc)], 0.0
        for above in below:  # grows on the way
            total += spent.get(above, 0.0)
            below += [name for name, parent in parents.items() if parent == above]
        return total > self.seconds or len(below) > CROWD

    def _read(self, path: str) -> str:
        handle = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        try:
            return os.read(handle, 4096).decode(errors="replace")
        finally:
            os.close(handle)


def _processor_seconds(pid: int) -> float:
    """What a process has computed so far; 0 where it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's number for the clock of a process
    except OSError:
        return 0.0
