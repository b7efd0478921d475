"""What lies on the disk under no name: files that were opened or mapped and then removed.

    held(proc, ["4711"], scratch)       # bytes that these processes keep so, on the disk of that folder

No walk through a folder finds them, and they take its room as long as somebody holds them.
"""

from __future__ import annotations

import os
import stat

from course.grade.system import FILE_BYTES

UNKNOWN = FILE_BYTES // 4  # of a file that is only mapped: how long it is, the kernel tells nobody but root
_MAPS = 1 << 20  # bytes of a table of mappings that are read


def held(proc: int, pids: list[str], scratch: str) -> int:
    """Count each file once, whoever holds it; a process that has ended holds nothing."""
    device, sizes = os.stat(scratch).st_dev, {}
    for pid in pids:
        for inode in _mapped(proc, pid, device):
            sizes.setdefault(inode, UNKNOWN)
        sizes.update(_open(proc, pid, device))
    return sum(sizes.values())


def _open(proc: int, pid: str, device: int) -> dict[int, int]:
    """By inode the size of what it has open and nobody can find."""
    found = {}
    try:
        folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    except OSError:
        return found
    try:
        for name in os.listdir(folder):
            try:
                facts = os.stat(name, dir_fd=folder)
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 0 and facts.st_dev == device:
                found[facts.st_ino] = facts.st_blocks * 512
    except OSError:
        pass
    finally:
        os.close(folder)
    return found


def _mapped(proc: int, pid: str, device: int) -> set[int]:
    """The inodes of removed files in its memory."""
    try:
        handle = os.open(f"{pid}/maps", os.O_RDONLY, dir_fd=proc)
    except OSError:
        return set()
    try:
        text = b""
        while len(text) < _MAPS and (piece := os.read(handle, 1 << 16)):
            text += piece
    except OSError:
        return set()
    finally:
        os.close(handle)
    here = b"%02x:%02x" % (os.major(device), os.minor(device))
    rows = (line.split(maxsplit=5) for line in text.splitlines() if line.endswith(b" (deleted)"))
    return {int(row[4]) for row in rows if len(row) == 6 and row[3] == here}
