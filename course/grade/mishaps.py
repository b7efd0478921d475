"""What a disk or a gradebook can refuse, as sentences: full, read-only, locked, damaged.

    with told(root): ...

Nothing is lost by any of them: a finished submission has its result file, and the next run goes on from
there.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import InvalidEntry
from sqlalchemy.exc import DBAPIError

from course.messages import CourseError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM)


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


def _cause(error: BaseException) -> object:
    """What SQLite said: nbgrader wraps some of it in an InvalidEntry."""
    wrapped: BaseException | None = error
    while wrapped is not None and not isinstance(wrapped, DBAPIError):
        wrapped = wrapped.__cause__ or wrapped.__context__
    return error if wrapped is None else wrapped.orig
