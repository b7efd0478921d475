"""Sound training loops of many kinds, each watched by a Monitor: how many does the check call broken?

    python -m benchmarks.clean_loops [NAME ...]

Every loop is small (a few hundred thousand operations a step) and right. A verdict other than healthy is a
false alarm. Loops of libraries that are not installed are left out, and named.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch

from minigpt.diagnosis import check

from . import (  # noqa: F401  each adds its loops
    batches,
    fine_tuning,
    frameworks,
    models,
    objectives,
    optimizers,
    plain,
    precision,
    schedules,
    steps,
)
from .parts import LOOPS


def judge(name: str, folder: Path) -> tuple[str, str, float]:
    """Run one loop; return the verdict, the rows that are not healthy, and the seconds it took."""
    random.seed(7)
    torch.manual_seed(7)
    began = time.perf_counter()
    out = folder / name
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            LOOPS[name](out)
        stopped = [str(one.message) for one in caught if "monitor" in str(one.message).lower()]
        walk = check(out, whole=True)
    except ImportError as error:
        return "left out", str(error), time.perf_counter() - began
    said = walk.leaf or walk.verdict.value
    odd = [
        f"{finding.question} {finding.leaf or finding.verdict.value}"
        for finding in walk.findings
        if finding.verdict.value in ("fail", "unknown", "warn")
    ]
    return said, ", ".join(odd + stopped), time.perf_counter() - began


def main() -> int:
    """Run the loops that are named, or all, and print a table."""
    torch.set_num_threads(1)
    asked = sys.argv[1:] or list(LOOPS)
    alarms = left_out = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in asked:
            said, odd, seconds = judge(name, Path(folder))
            left_out += said == "left out"
            alarms += said not in ("pass", "left out")
            print(f"{name:40} {said:22} {seconds:6.1f} s  {odd}", flush=True)
    print(f"{len(asked) - left_out} loops, {alarms} false alarms, {left_out} left out")
    return int(alarms > 1)


raise SystemExit(main())
