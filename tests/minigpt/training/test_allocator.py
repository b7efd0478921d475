"""What is freed is kept: the process stays as large as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

from minigpt.training.allocator import keep_freed_memory

MEGABYTES_KEPT = """
import os, sys, torch
from minigpt.training.allocator import keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
if sys.argv[1] == "keep":
    keep_freed_memory()
before = resident()
blocks = [torch.ones(20 * 2**18) for _ in range(10)]  # 20 MB each
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="only glibc can be told")
@pytest.mark.parametrize(("how", "least", "most"), [("keep", 190, 250), ("give", 0, 50)])
def test_freed_memory_stays_with_the_process(how, least, most):
    kept = int(subprocess.check_output([sys.executable, "-c", MEGABYTES_KEPT, how]))
    assert least <= kept <= most
