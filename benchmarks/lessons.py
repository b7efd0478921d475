"""How long the lessons take, cell by cell, and whether a second run shows the same figures.

    python benchmarks/lessons.py               # every lesson, twice: the slowest cells first
    python benchmarks/lessons.py 18-01 18-06   # some of them
    python benchmarks/lessons.py --once        # times alone
    python benchmarks/lessons.py --once --clock cpu     # processor seconds of the kernel: on a busy machine
    python benchmarks/lessons.py --instruction-sets   # every lesson as on five machines: what differs
    python benchmarks/lessons.py --live-plot   # what LivePlot costs a run, in CPU seconds

Each solved notebook runs as `course build` runs it. The bars are 20 s for a cell and 60 s for a lesson, on
two cores; the exit status is 1 when one is missed, or when a compared cell differs between the two runs.
Whether it also differs from the committed solution, which may come from another machine, is printed, and is
no fault there. --live-plot trains the run of lesson 18-00 in a notebook's kernel with the plot and without,
in turn, and prints the share that the plot takes; the bar is 10 %. With --instruction-sets a difference is a
fault: what is compared must hold on any machine, and the committed solution is one more.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

from course.build import COMPARE_TAG, make
from course.execute import by_the_wall, execute
from course.lesson import Lesson, all_lessons, find_lesson

CELL_BAR, LESSON_BAR = 20.0, 60.0  # seconds
SHOWN = 25  # of the slowest cells
# What PyTorch, oneDNN and MKL read: each setting has them round as they would on another machine.
MACHINES = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "plain": {"ATEN_CPU_CAPABILITY": "default"},
    "AVX2 in MKL too": {
        "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"
    },
}  # fmt: skip


LIVE_BAR = 0.10  # of a run's CPU seconds
LIVE_ROUNDS = 3  # each with the plot and without
LIVE = """
import time
from pathlib import Path
import torch
from course.live_plot import LivePlot
from minigpt import Config, Recipe, train
torch.set_num_threads(1)
recipe = Recipe(
    Config(steps=240, warmup_steps=24, lr_max=5e-3, lr_min=5e-4, batch_size=16, accumulation=2, eval_every=40)
)
_ = train(Recipe(Config(steps=5, warmup_steps=1)), "fonts", callbacks=[LivePlot()], overwrite=True)
"""
LIVE_ONCE = """
began = time.process_time()
train(recipe, "run", callbacks={callbacks}, overwrite=True)
print("CPU", time.process_time() - began)
"""


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


def of_the_processor(client: NotebookClient) -> float:
    """Return the processor seconds of a notebook's kernel and of the programs that it ran."""
    spent = psutil.Process(client.km.provisioner.pid).cpu_times()
    return spent.user + spent.system + spent.children_user + spent.children_system


CLOCKS = {"wall": by_the_wall, "cpu": of_the_processor}


def measure(
    lesson: Lesson, runs: int, clock: str = "wall"
) -> tuple[dict[str, float], list[str], list[str], int]:
    """Run a lesson; return seconds a cell (the slower of the runs), what differs between runs and from the
    committed solution, and how many cells are compared."""
    solution, _ = make(lesson)
    seconds: dict[str, float] = {}
    outputs = []
    for _ in range(runs):
        executed, took = execute(solution, lesson.slug, CLOCKS[clock])
        seconds = {name: max(took[name], seconds.get(name, 0.0)) for name in took}
        outputs.append(compared(executed))
    committed = compared(nbformat.read(lesson.built("solutions"), as_version=4))
    return seconds, differences(outputs[0], outputs[-1]), differences(outputs[0], committed), len(outputs[0])


@contextmanager
def machine(settings: dict[str, str]) -> Iterator[None]:
    """Kernels started inside run with `settings` in their environment."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def across_machines(lessons: list[Lesson]) -> int:
    """Run every lesson in each of MACHINES, print what differs from the committed solution; return how
    many cells do."""
    found, count = set(), 0
    for lesson in lessons:
        solution, _ = make(lesson)
        committed = compared(nbformat.read(lesson.built("solutions"), as_version=4))
        count += len(committed)
        for name, settings in MACHINES.items():
            with machine(settings):
                executed, _ = execute(solution, lesson.slug)
            outputs = compared(executed)
            unequal = differences(outputs, committed)
            found |= {(lesson.id, cell) for cell in unequal}
            print(f"{lesson.id}, {name}: {', '.join(unequal) or 'none'} differ", flush=True)
            for cell in unequal:
                sides = (json.loads(side[cell])[0].splitlines() for side in (committed, outputs))
                print("\n".join(difflib.unified_diff(*sides, "committed", name, n=0, lineterm="")))
    print(f"{count} compared cells on {len(MACHINES)} machines: {len(found)} differ")
    return len(found)


def live_plot() -> int:
    """Print the CPU seconds of a run with LivePlot and without, as a kernel counts them; return 1 if over."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LIVE)])
    ways = {"without": "[]", "with": "[LivePlot()]"}
    for _ in range(LIVE_ROUNDS):
        for callbacks in ways.values():
            book.cells.append(nbformat.v4.new_code_cell(LIVE_ONCE.format(callbacks=callbacks)))
    executed, _ = execute(book, "live-plot")
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in executed.cells[1:]]
    spent = [float(text.rpartition("CPU ")[2]) for text in printed]
    least = {way: min(spent[place :: len(ways)]) for place, way in enumerate(ways)}
    share = least["with"] / least["without"] - 1
    for place, way in enumerate(ways):
        print(f"{way:8}", " ".join(f"{seconds:6.2f}" for seconds in spent[place :: len(ways)]), "CPU s")
    print(f"LivePlot takes {share:.1%} of the run (least of {LIVE_ROUNDS} rounds; bar {LIVE_BAR:.0%})")
    return 1 if share > LIVE_BAR else 0


def main() -> int:
    """Measure, print the tables, and return 1 if a bar is missed or a compared cell differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="ids, such as 18-01; all of them if none is named")
    parser.add_argument("--once", action="store_true", help="run each lesson once and compare nothing")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what a second is")
    parser.add_argument("--instruction-sets", action="store_true", help="run each lesson as on five machines")
    parser.add_argument("--live-plot", action="store_true", help="what LivePlot costs a run")
    options = parser.parse_args()
    if options.live_plot:
        return live_plot()
    lessons = [find_lesson(word) for word in options.lessons] or all_lessons()
    if options.instruction_sets:
        return 1 if across_machines(lessons) else 0
    cells: list[tuple[float, str, str]] = []
    totals: list[tuple[float, str]] = []
    unequal = 0
    for lesson in lessons:
        seconds, between, committed, count = measure(lesson, 1 if options.once else 2, options.clock)
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
