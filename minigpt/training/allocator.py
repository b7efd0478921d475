"""Keep the memory that a training step frees, since the next step takes it again.

    keep_freed_memory()    # once, before training on a CPU

By default glibc gives every large block back to the system when it is freed, and the system hands it out
again page by page, zeroed: thousands of page faults a step, up to a fifth of a small model's time.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_INT = 2**31 - 1
LARGEST_BLOCK = 32 * 2**20  # of those kept; glibc takes no higher threshold


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed until the process ends; return whether that could be done.

    Other systems have allocators that keep it anyway, or cannot be told; there nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, LARGEST_INT)) and bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK))
