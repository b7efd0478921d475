"""The C library through ctypes: what Python has no name for."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
PDEATHSIG, DUMPABLE, SECCOMP, SUBREAPER, NO_NEW_PRIVS = 1, 4, 22, 36, 38


def prctl(option: int, value: int) -> None:
    """prctl(2) with one value."""
    check(libc.prctl(option, value, 0, 0, 0))


def check(result: int) -> int:
    """The result of a system call; OSError where it is an error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
