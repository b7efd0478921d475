"""How long the lessons take, cell by cell, and whether a second run shows the same figures.

    python benchmarks/lessons.py               # every lesson, twice: the slowest cells first
    python benchmarks/lessons.py 18-01 18-06   # some of them
    python benchmarks/lessons.py --once        # times alone

Each solved notebook runs as `course build` runs it. The bars are 20 s for a cell and 60 s for a lesson, on
two cores; the exit status is 1 when one is missed, or when a compared cell differs between the two runs.
Whether it also differs from the committed solution, which may come from another machine, is printed, and is
no fault.
"""

from __future__ import annotations

import argparse
import json
import sys

import nbformat
from nbformat import NotebookNode

from course.build import COMPARE_TAG, make
from course.execute import execute
from course.lesson import Lesson, all_lessons, find_lesson

CELL_BAR, LESSON_BAR = 20.0, 60.0  # seconds
SHOWN = 25  # of the slowest cells


def compared(notebook: NotebookNode) -> dict[str, str]:
    """The outputs of the compared cells by cell id, as text; what was printed in pieces is one piece."""
    found = {}
    for cell in notebook.cells:
        if COMPARE_TAG in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            others = [output.data for output in cell.outputs if "data" in output]
            found[cell.id] = json.dumps([printed, others], sort_keys=True)
    return found


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The ids of the cells that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def measure(lesson: Lesson, runs: int) -> tuple[dict[str, float], list[str], list[str], int]:
    """Run a lesson; return seconds a cell (the slower of the runs), what differs between runs and from the
    committed solution, and how many cells are compared."""
    solution, _ = make(lesson)
    seconds: dict[str, float] = {}
    outputs = []
    for _ in range(runs):
        executed, took = execute(solution, lesson.slug)
        seconds = {name: max(took[name], seconds.get(name, 0.0)) for name in took}
        outputs.append(compared(executed))
    committed = compared(nbformat.read(lesson.built("solutions"), as_version=4))
    return seconds, differences(outputs[0], outputs[-1]), differences(outputs[0], committed), len(outputs[0])


def main() -> int:
    """Measure, print the tables, and return 1 if a bar is missed or a compared cell differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="ids, such as 18-01; all of them if none is named")
    parser.add_argument("--once", action="store_true", help="run each lesson once and compare nothing")
    options = parser.parse_args()
    lessons = [find_lesson(word) for word in options.lessons] or all_lessons()
    cells: list[tuple[float, str, str]] = []
    totals: list[tuple[float, str]] = []
    unequal = 0
    for lesson in lessons:
        seconds, between, committed, count = measure(lesson, runs=1 if options.once else 2)
        cells += [(took, lesson.id, name) for name, took in seconds.items()]
        totals.append((sum(seconds.values()), lesson.id))
        unequal += len(between)
        again = "" if options.once else f"; between two runs {', '.join(between) or 'none'} differ"
        print(
            f"{lesson.id}: {count} compared cells{again}; from the committed solution "
            f"{', '.join(committed) or 'none'} differ",
            flush=True,
        )
    print(f"\n{'seconds':>8}  lesson   (bar {LESSON_BAR:g} s)")
    for took, name in sorted(totals, reverse=True):
        print(f"{took:8.1f}  {name}{'   TOO SLOW' * (took > LESSON_BAR)}")
    print(f"\n{'seconds':>8}  cell, the slowest {SHOWN} of {len(cells)}   (bar {CELL_BAR:g} s)")
    for took, lesson_id, name in sorted(cells, reverse=True)[:SHOWN]:
        print(f"{took:8.1f}  {lesson_id} {name}{'   TOO SLOW' * (took > CELL_BAR)}")
    slow = [took for took, *_ in cells if took > CELL_BAR] + [t for t, _ in totals if t > LESSON_BAR]
    return 1 if slow or unequal else 0


if __name__ == "__main__":
    sys.exit(main())
