"""How long grading takes as a class grows: lesson 18-01, one submission in twenty damaged.

    python benchmarks/grading.py               # 10 and 20 submissions
    python benchmarks/grading.py 50 100 200    # other sizes
    python benchmarks/grading.py 10 --stock    # one of them through stock nbgrader as well

The cost of a submission is the slope between two sizes; what remains is the start: importing torch once, and
asking the reference solution how each check can be asked.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course.grade.classroom import grade_assignment
from course.lesson import ROOT, find_lesson


def measure(size: int, workers: int) -> tuple[float, int]:
    """Grade a class of that size; return seconds and how many got full marks."""
    lesson = find_lesson("18-01")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(size):
            file = Path(folder, "submitted", f"s{number:03}", lesson.assignment, f"{lesson.slug}.ipynb")
            file.parent.mkdir(parents=True)
            shutil.copy(lesson.built("solutions"), file)
            if number % 20 == 19:
                file.write_bytes(file.read_bytes()[:5000])
        started = time.perf_counter()
        report = grade_assignment(lesson, Path(folder), workers=workers)
        seconds = time.perf_counter() - started
    return seconds, sum(result["points"] == result["maximum"] for result in report.results.values())


def measure_stock() -> float:
    """The seconds that stock nbgrader takes to autograde one solution and write its feedback."""
    lesson = find_lesson("18-01")
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        source = lesson.built("solutions", course)
        for file in (source, course / "submitted" / "one" / lesson.assignment / source.name):
            file.parent.mkdir(parents=True)
            shutil.copy(lesson.built("solutions"), file)
        shutil.copy(ROOT / "course" / "nbgrader_config.py", course)
        seconds = {}
        for command in ("generate_assignment", "autograde", "generate_feedback"):
            started = time.perf_counter()
            arguments = [sys.executable, "-m", "nbgrader", command, lesson.assignment]
            subprocess.run(arguments, cwd=course, check=True, capture_output=True)
            seconds[command] = time.perf_counter() - started
    return seconds["autograde"] + seconds["generate_feedback"]


def main() -> None:
    """Print one line a size, and the slope."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[10, 20])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--stock", action="store_true")
    options = parser.parse_args()
    found = []
    for size in options.sizes:
        seconds, full = measure(size, options.workers)
        found.append((size, seconds))
        print(f"{size:4} submissions  {seconds:7.1f} s   {full} with full marks", flush=True)
    if len(found) > 1:
        (small, first), (large, last) = found[0], found[-1]
        print(f"     each one more  {(last - first) / (large - small):7.2f} s, {options.workers} workers")
    if options.stock:
        print(f"     stock nbgrader, one  {measure_stock():7.1f} s")


if __name__ == "__main__":
    main()
