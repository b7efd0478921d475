"""`course grade` on a class of a lesson, one submission in ten damaged or hostile, against stock nbgrader.

    python benchmarks/grading.py                    # all three parts, a class of 200
    python benchmarks/grading.py class --size 50 --stock 2
    python benchmarks/grading.py class --lesson 19-01 --stock 0
    python benchmarks/grading.py sandbox
    python benchmarks/grading.py kills --kills 20

class    seconds and peak memory when a quarter, half and all of the class are done; then stock `nbgrader
         autograde` (without its feedback, which ours includes) on a few of the same submissions, as they are
         and without the training cells that no check needs; CPU time beside wall clock, for a busy machine
sandbox  milliseconds of a question with and without protection: what the sandbox adds
kills    a grader killed (SIGKILL) at random moments, over and over, against one that was left in peace
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from attacks_files import FILES  # benchmarks/attacks_files.py
from attacks_kinds import kinds_for

from course.grade.classroom import Report, grade_assignment, read_notebook
from course.grade.sandbox import strongest
from course.grade.workshop import Workshop
from course.lesson import ROOT, Lesson, find_lesson
from course.source import read_source

DAMAGED = ("cut-off", "every-cell-twice", "version-3", "empty", "unknown-schema")  # by turns
HOSTILE = ("loot-and-patch", "forged-at-once", "spin", "uncounted-memory", "harm-others")  # as well
CLASS_OF_KILLS = 12


def hand_in(root: Path, lesson: Lesson, size: int, hostile: bool = False) -> None:
    """Write `size` solutions as submissions: of twenty the last is damaged, and the tenth may be hostile."""
    solution = lesson.built("solutions").read_text(encoding="utf-8")
    spoil = {attack.name: attack.spoil for attack in FILES}
    attacks = {attack.name.removesuffix(f"-{lesson.id}"): attack for attack in kinds_for(lesson) if hostile}
    for number in range(size):
        file = root / "submitted" / f"s{number:03}" / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        notebook = json.loads(solution)
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
        content = solution
        if number % 20 == 19:
            content = spoil[DAMAGED[number // 20 % len(DAMAGED)]](notebook, file)
            content = json.dumps(content) if isinstance(content, dict) else content.decode()
        elif hostile and number % 20 == 9:
            attack = attacks[HOSTILE[number // 20 % len(HOSTILE)]]
            for cell in notebook["cells"]:
                cell["source"] = attack.cells.get(cell["id"], cell["source"])
            content = json.dumps(notebook)
        file.write_text(content, encoding="utf-8")


class Memory:
    """Samples what this process and its descendants hold, shared pages counted once; in MB."""

    def __init__(self):
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            held = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                except OSError:
                    continue
                held += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            self.peak = max(self.peak, held / 1000)


def measure_class(lesson: Lesson, size: int, workers: int, stock: int) -> None:
    """Print how a class is graded, and stock nbgrader's time for a few of it."""
    marks = {max(1, size // 4): 0.0, max(1, size // 2): 0.0, size: 0.0}
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        root = Path(folder)
        hand_in(root, lesson, size, hostile=True)
        started, spent = time.perf_counter(), _cpu()

        def progress(done: int, total: int) -> None:
            if done in marks:
                marks[done] = time.perf_counter() - started
                print(f"{done:5} done  {marks[done]:7.1f} s  {memory.peak:6.0f} MB at most", flush=True)

        report = grade_assignment(lesson, root, workers=workers, progress=progress)
        each, spent = marks[size] / size, (_cpu() - spent) / size
        full = sum(result["points"] == result["maximum"] for result in report.results.values())
        print(f"{len(report.results)} of {size} have a result, {full} full marks; {report.levels}")
        points = {name: result["points"] for name, result in report.results.items() if name[-1] == "9"}
        print(
            "damaged and hostile ones:", ", ".join(f"{name} {got:g}" for name, got in sorted(points.items()))
        )
        again = grade_assignment(lesson, root, workers=workers)
        print(f"a submission: {each:.2f} s, {spent:.2f} s of CPU, start included", end="; ")
        print(f"all of it once more: {again.seconds:.1f} s", flush=True)
    for name, lean in (("as handed in", False), ("without training cells", True)) if stock else ():
        seconds, cpu = measure_stock(lesson, stock, lean)
        print(f"stock autograde, {stock} {name}: {seconds:.1f} s each, {cpu:.1f} s of CPU", end="; ")
        print(f"{seconds / each:.1f} times ours, {cpu / spent:.1f} times in CPU", flush=True)


def _cpu() -> float:
    return sum(os.times()[:4])


def measure_stock(lesson: Lesson, size: int, lean: bool) -> tuple[float, float]:
    """Seconds a submission, wall clock and CPU, of one `nbgrader autograde` on `size` undamaged ones."""
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        source = lesson.built("solutions", course)
        source.parent.mkdir(parents=True)
        shutil.copy(lesson.built("solutions"), source)
        shutil.copy(ROOT / "course" / "nbgrader_config.py", course)
        hand_in(course, lesson, size)
        if lean:
            cells = read_source(lesson.folder / "lesson.py")
            needed = {c.grade_id for c in cells if c.setup or c.role in ("solution", "check")}
            for file in (course / "submitted").rglob("*.ipynb"):
                notebook = json.loads(file.read_text(encoding="utf-8"))
                kept = [c for c in notebook["cells"] if c["cell_type"] != "code" or c["id"] in needed]
                file.write_text(json.dumps(notebook | {"cells": kept}), encoding="utf-8")
        command = [sys.executable, "-m", "nbgrader"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(
            [*command, "generate_assignment", lesson.assignment],
            cwd=course,
            env=environment,
            check=True,
            capture_output=True,
        )
        started, spent = time.perf_counter(), _cpu()
        subprocess.run(
            [*command, "autograde", lesson.assignment],
            cwd=course,
            env=environment,
            check=True,
            capture_output=True,
        )
        return (time.perf_counter() - started) / size, (_cpu() - spent) / size


def measure_sandbox(lesson: Lesson, questions: int = 60) -> None:
    """Print the milliseconds of one small question, and what protection adds to it."""
    release = read_notebook(lesson.built("en"))
    cells = [
        ["expected-loss", "import math\ndef expected_loss(vocab_size):\n    return math.log(vocab_size)\n"]
    ]
    case = {"check": "expected-loss/course", "case": {"vocab_size": 512}, "seed": 1}
    levels = ["none", strongest()]
    with Workshop(lesson, release, levels[0]) as bare, Workshop(lesson, release, levels[1]) as guarded:
        found: dict[str, list[float]] = {level: [] for level in levels}
        for number in range(questions + 5):
            for level, workshop in zip(levels, (bare, guarded), strict=True):
                started = time.perf_counter()
                outcome = workshop.ask(cells, [case])
                if number >= 5:
                    found[level].append(1000 * (time.perf_counter() - started))
                assert "output" in outcome[0], outcome
    middle = {level: statistics.median(times) for level, times in found.items()}
    added = [b - a for a, b in zip(found[levels[0]], found[levels[1]], strict=True)]
    print(
        f"a question: {middle['none']:.0f} ms without protection, {middle[levels[1]]:.0f} ms with {levels[1]}"
    )
    low, _, high = statistics.quantiles(added, n=4)
    print(f"the sandbox adds {statistics.median(added):.0f} ms ({low:.0f} to {high:.0f} in the middle half)")


def measure_kills(lesson: Lesson, kills: int, seed: int) -> bool:
    """Kill a grader at random moments, resume it each time; return whether nothing came of it."""
    draw = random.Random(seed)
    command = [sys.executable, "-m", "course.cli", "grade", lesson.assignment]
    with tempfile.TemporaryDirectory() as folder:
        peace, war, scratch = Path(folder, "peace"), Path(folder, "war"), Path(folder, "scratch")
        scratch.mkdir()
        hand_in(peace, lesson, CLASS_OF_KILLS)
        hand_in(war, lesson, CLASS_OF_KILLS)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = time.perf_counter()
        subprocess.run(command, cwd=peace, env=environment, check=True, **quiet)
        usual, landed, kept = time.perf_counter() - started, 0, []
        fresh = True  # a run with everything to do, not one that takes up another
        while landed < kills:
            started, clock = time.perf_counter(), time.time()
            process = subprocess.Popen(command, cwd=war, env=environment, **quiet)
            try:
                process.wait(draw.uniform(0, usual))
                usual, fresh = time.perf_counter() - started if fresh else usual, True
                for file in (war / "submitted").glob("s00*/*/*.ipynb"):  # all done: hand ten in again
                    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                landed, fresh = landed + 1, False
                results = (war / "autograded" / ".results").rglob("*.json")
                kept.append(sum(file.stat().st_mtime > clock for file in results))
        subprocess.run(command, cwd=war, env=environment, check=True, **quiet)
        ours, theirs = grade_assignment(lesson, war), grade_assignment(lesson, peace)
        faults = differences(lesson, war, ours, theirs)
        faults += [f"still running: {pid}" for pid in _left_behind(scratch)]
    print(f"{landed} kills, the last in runs of {usual:.1f} s; results written before each: {kept}")
    print(
        "\n".join(faults)
        or "every result is there once and as in peace, the gradebook intact, nothing running"
    )
    return not faults


def differences(lesson: Lesson, war: Path, ours: Report, theirs: Report) -> list[str]:
    """What differs between the two course directories, results and gradebooks."""
    faults = []
    if ours.graded or theirs.graded:
        faults.append("something was left to grade")
    for name, result in theirs.results.items():
        mine = ours.results.get(name, {})
        keys = ("points", "maximum", "checks", "cells", "problem", "notes", "seed", "language")
        faults += [f"{name}: {key} differs" for key in keys if mine.get(key) != result[key]]
    book = sqlite3.connect(war / "gradebook.db")
    if (
        book.execute("PRAGMA integrity_check").fetchone() != ("ok",)
        or book.execute("PRAGMA foreign_key_check").fetchall()
    ):
        faults.append("the gradebook is damaged")
    rows = book.execute(
        "SELECT student_id, count(*) FROM submitted_assignment GROUP BY student_id HAVING count(*) != 1"
    ).fetchall()
    faults += [f"in the gradebook more than once: {row}" for row in rows]
    book.close()
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{war / 'gradebook.db'}") as book:
        scores = {entry.student.id: entry.score for entry in book.assignment_submissions(lesson.assignment)}
    if scores != {name: result["points"] for name, result in theirs.results.items()}:
        faults.append("the gradebook has other scores")
    return faults


def _left_behind(scratch: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(scratch) in process.environ().get("HOME", ""):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def main() -> int:
    """Run the parts asked for; return 1 if a kill lost anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="class|sandbox|kills")
    parser.add_argument("--lesson", default="18-01", metavar="ID", help="of the class (18-01)")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--stock", type=int, default=3, metavar="N", help="submissions for stock nbgrader")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lesson, parts = find_lesson("18-01"), options.parts or ["class", "sandbox", "kills"]
    if "class" in parts:
        measure_class(find_lesson(options.lesson), options.size, options.workers, options.stock)
    if "sandbox" in parts:
        measure_sandbox(lesson)
    return int("kills" in parts and not measure_kills(lesson, options.kills, options.seed))


if __name__ == "__main__":
    sys.exit(main())
