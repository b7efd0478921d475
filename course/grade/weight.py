"""What all processes of a question hold together: sixteen could take sixteen times the limit of one.

    weight = Weight(proc)          # an open /proc of the machine
    weight.too_much()              # asked often; looks a few times a second
    weight.kernel_killed()         # whether the kernel has ended anybody for memory since

Counted is what a process has in memory beyond the one that asks, which was forked from the same program.
"""

from __future__ import annotations

import os
import re
import time

from course.grade.system import MEMORY_BYTES

EVERY = 0.2  # seconds between two looks
MOST = MEMORY_BYTES + 500_000_000  # bytes: a process that is within its own limit is within this one
PAGE = os.sysconf("SC_PAGE_SIZE")


class Weight:
    """Of this process and all below it."""

    def __init__(self, proc: int | None):
        self.proc = proc
        self.below: list[str] = []  # the processes that were there at the last look
        self._next = time.monotonic() + EVERY  # most questions are over by then
        self._kills = self._killed()

    def too_much(self) -> bool:
        """Whether they hold more than one alone may."""
        if self.proc is None or time.monotonic() < self._next:
            return False
        mine = os.readlink("self", dir_fd=self.proc)
        bare = self._resident(mine)
        self.below = self._below(mine)
        found = sum(max(self._resident(pid) - bare, 0) for pid in self.below)
        self._next = time.monotonic() + EVERY
        return found > MOST

    def kernel_killed(self) -> bool:
        """Whether the kernel has ended any process of the machine for lack of memory meanwhile."""
        return self._killed() > self._kills

    def _killed(self) -> int:
        found = re.search(r"^oom_kill (\d+)", self._read("vmstat", 1 << 16), re.MULTILINE)
        return int(found[1]) if found else 0

    def _below(self, above: str) -> list[str]:
        parents = {}
        for name in filter(str.isdigit, os.listdir(self.proc)):
            facts = self._read(f"{name}/stat").rpartition(")")[2].split()
            if facts:
                parents[name] = facts[1]
        found = [above]
        for pid in found:  # grows on the way
            found += [name for name, parent in parents.items() if parent == pid]
        return found[1:]

    def _resident(self, pid: str) -> int:
        facts = self._read(f"{pid}/statm").split()
        return int(facts[1]) * PAGE if facts else 0

    def _read(self, path: str, size: int = 4096) -> str:
        """What stands there; nothing of a process that has ended."""
        if self.proc is None:
            return ""
        try:
            handle = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        except OSError:
            return ""
        try:
            return os.read(handle, size).decode(errors="replace")
        except OSError:
            return ""
        finally:
            os.close(handle)
