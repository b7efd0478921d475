"""A grader's folder in the system's temporary one, and what killed graders left there.

folder, lock = claim()      # a folder of this process's own; leftovers of the dead are removed
...
release(folder, lock)
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "grade-"
LOCK = "lock"


def claim() -> tuple[str, int]:
    """Make a folder and hold its lock, which the kernel lets go when this process ends, however it ends."""
    _clear()
    folder = tempfile.mkdtemp(prefix=PREFIX)
    os.chmod(folder, 0o711)  # a learner's process, of another user, has a place below it
    fresh = os.path.join(folder, "fresh")
    lock = os.open(fresh, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(fresh, os.path.join(folder, LOCK))  # nobody ever sees it unlocked while this process lives
    return folder, lock


def release(folder: str, lock: int) -> None:
    """Remove the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _clear() -> None:
    """Remove folders of this user's whose lock nobody holds. Without a lock nothing is certain: it stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its grader lives
            os.close(lock)
        else:
            release(str(folder), lock)
