"""What a measurement ran on, in words, for RESULTS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from minigpt.model.kernels import PRODUCTS

RESULTS = Path(__file__).parent / "RESULTS.md"


def machine() -> str:
    """Return processor, instruction set and cores, as `lscpu` and torch see them."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the architecture has to do
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{model}, {capability}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s) used"


def matmul_peak(clock: Callable[[], float]) -> float:
    """Return the operations a second of the fastest float32 product, by either of PyTorch's two libraries."""
    x, grad, weight = torch.randn(3, 1024, 1024)
    best = 0.0
    for product in PRODUCTS["output"].values():
        for _ in range(30):
            started = clock()
            product(x, grad, weight)
            best = max(best, 2 * 1024**3 / (clock() - started))
    return best


def write(title: str, lines: list[str]) -> None:
    """Append a section to RESULTS.md: date, machine, and the lines as they were printed."""
    text = "\n".join(lines)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"\n## {title}\n\n{date.today().isoformat()}, {machine()}.\n\n```\n{text}\n```\n")
