"""Where in somebody's program things happen: file and line, for the report to point at."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from pathlib import Path

LIBRARIES = (  # code that no user of the monitor wrote
    str(Path(__file__).resolve().parent.parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)


def calling_line() -> str | None:
    """Return "file:line" of the user's line that led here, or None where no frame is the user's."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_users(file := frame.f_code.co_filename):
            return f"{_short(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def definition_of(kind: type) -> str | None:
    """Return "file:line" of a class that the user wrote, or None."""
    try:
        file = inspect.getsourcefile(kind)
        return f"{_short(file)}:{inspect.getsourcelines(kind)[1]}" if file and _is_users(file) else None
    except (OSError, TypeError):  # a notebook's cell, or a class made at run time
        return None


def _is_users(file: str) -> bool:
    return os.path.isfile(file) and not os.path.abspath(file).startswith(LIBRARIES)


def _short(file: str) -> str:
    """Return the path as seen from the working directory where it lies below, else the file's name."""
    path = Path(file).resolve()
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else path.name
