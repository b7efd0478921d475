"""The course's secret: cases are drawn from it, so that no table of answers can be made beforehand.

It is made when the first submission is graded, and lies in nbgrader's course directory, for its owner alone.
A regrade draws the same cases as long as it is there; with another one, everybody's cases are drawn afresh.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from course.messages import CourseError

NAME = ".grading-secret"
SIZE = 32


def course_secret(root: Path) -> bytes:
    """Return the secret of the course directory, made if there is none.

    Raises:
        CourseError: it is there and cannot be read.
    """
    file = root / NAME
    temporary = root / f"{NAME}-{os.getpid()}"
    if not file.exists():
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(SIZE) + "\n")
        try:
            os.link(temporary, file)  # whoever comes second takes the first one's
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    try:
        found = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        found = b""
    if len(found) < SIZE // 2:
        raise CourseError("grade.no-secret", file=file)
    return found
