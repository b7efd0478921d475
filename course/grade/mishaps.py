"""What a disk or a gradebook can refuse, as sentences: full, read-only, locked, damaged.

    with told(root): ...
    with turn(root): ...          # one grader at a time writes below this folder

Nothing is lost by any of them: a finished submission has its result file, and the next run goes on from
there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import InvalidEntry
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from course.messages import CourseError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM)
_ONE_ROW = (DataError, IntegrityError, InterfaceError, ProgrammingError)  # a value was refused, not the file
TURN_SECONDS = 60


@contextmanager
def told(root: Path) -> Iterator[None]:
    """Turn the refusals of the disk and the gradebook into CourseError; let anything else pass."""
    book = root / "gradebook.db"
    try:
        yield
    except OSError as error:
        place = Path(error.filename or root)
        if error.errno in _FULL:
            raise CourseError("grade.disk-full", file=place) from error
        if error.errno == errno.EROFS or (error.errno in _CLOSED and place.is_relative_to(root)):
            raise CourseError("grade.not-writable", file=place) from error
        raise
    except (DBAPIError, InvalidEntry) as error:
        cause = _cause(error)
        text = str(cause).lower()
        if "locked" in text:
            raise CourseError("grade.book-locked", file=book) from error
        if "full" in text:
            raise CourseError("grade.disk-full", file=book) from error
        if "readonly" in text or "unable to open" in text:
            raise CourseError("grade.not-writable", file=book) from error
        raise CourseError("grade.book-damaged", file=book, what=cause) from error


def everybodys(error: Exception) -> bool:
    """Whether the next student would meet this too: a disk that is full, a gradebook that is locked."""
    if isinstance(error, OSError):
        return error.errno in (*_FULL, errno.EROFS, errno.EIO)
    wrapped = _wrapped(error)
    return wrapped is not None and not isinstance(wrapped, _ONE_ROW)


@contextmanager
def turn(root: Path) -> Iterator[None]:
    """Hold the right to write below `root/autograded` and to the gradebook; the kernel lets it go at a kill.

    Raises:
        CourseError: another grader does not finish its page.
    """
    folder = root / "autograded" / ".results"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + TURN_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise CourseError("grade.book-locked", file=root / "gradebook.db") from None
                time.sleep(0.05)
            except OSError:  # a disk of the network that knows no locks: the gradebook's own must do
                break
        yield
    finally:
        os.close(lock)


def _wrapped(error: BaseException | None) -> DBAPIError | None:
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error


def _cause(error: BaseException) -> object:
    """What SQLite said: nbgrader wraps some of it in an InvalidEntry."""
    wrapped = _wrapped(error)
    return error if wrapped is None else wrapped.orig
