"""The same arithmetic on both sides: threads and kernels of the judge and of the sandbox.

What a random fill, a dropout or a sum gives depends on the number of threads and on the processor's
instructions that a library picks. Both sides use one thread, whatever the environment says, and the sandbox
gets whatever choice of kernels this process was started with.
"""

from __future__ import annotations

import os

_CHOICES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
)
_ONE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def as_here() -> dict[str, str]:
    """Environment variables under which another process computes as this one does."""
    chosen = {name: os.environ[name] for name in _CHOICES if name in os.environ}
    return chosen | dict.fromkeys(_ONE, "1")
