"""Honest work to which a class has happened: what is it worth by nbgrader’s rules, and to `course grade`?

    python benchmarks/honest.py                      # every variant: due, by grade id alone, `course grade`
    python benchmarks/honest.py --stock              # and stock nbgrader itself, each in a container
    python benchmarks/honest.py --only a-split-cell a-timed-cell

The variants are those of tests/course/honest_variants.py: solved notebooks of lesson 18-01, split, copied,
renamed, merged, retyped. “By grade id” is how nbgrader finds an answer: the file of the assignment's name, in
it the cell that has the id in its metadata, run beside the release's setup cell and nothing else; the course
graded that way at first. Those answers are judged here by the course's own checks, so that the column shows
what finding them costs; `--stock` shows what nbgrader as a whole makes of the notebook, with the lesson's
training cells left out. Marks are automatic ones, of 19.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adversary import MARK  # benchmarks/adversary.py
from nbgrader.api import Gradebook
from stock import outcome as stock_outcome

from course.grade.classroom import read_notebook
from course.grade.judge import grade
from course.grade.normalise import HandedIn, answers
from course.grade.workshop import Workshop
from course.lesson import ROOT, Lesson, find_lesson
from course.source import read_source

sys.path.insert(0, str(ROOT / "tests" / "course"))
from honest_variants import SLUG, VARIANTS, notebooks  # noqa: E402

Files = dict[str, bytes]


def made(names: list[str]) -> dict[str, Files]:
    """The files of each variant."""
    mine, blank = notebooks()
    return {name: VARIANTS[name][0](copy.deepcopy(mine), copy.deepcopy(blank)) for name in names}


def hand_in(root: Path, lesson: Lesson, student: str, files: Files) -> None:
    """Lay a student's files where nbgrader looks for them."""
    folder = root / "submitted" / student / lesson.assignment
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def by_grade_id(lesson: Lesson, submissions: dict[str, Files]) -> dict[str, str]:
    """Marks by name if an answer is what nbgrader takes for it."""
    release = read_notebook(lesson.built("en"))
    wanted = [name for name, cell in answers(release).items() if cell.cell_type == "code"]
    with Workshop(lesson, release) as workshop:

        def marks(files: Files) -> str:
            try:
                cells = json.loads(files[SLUG])["cells"]
                ids = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
            except (KeyError, ValueError):
                return "no result"
            if len(set(filter(None, ids))) < len(list(filter(None, ids))):
                return "no result"  # “duplicate grade id”
            sources = {i: "".join(cell["source"]) for i, cell in zip(ids, cells, strict=True) if i in wanted}
            return f"{grade('somebody', HandedIn(cells=sources), release, workshop)['points']:g}"

        return {name: marks(files) for name, files in submissions.items()}


def by_stock(lesson: Lesson, submissions: dict[str, Files]) -> dict[str, str]:
    """Marks by name, or a word for what happened, as stock nbgrader has it."""
    cells = read_source(lesson.folder / "lesson.py")
    heavy = {cell.grade_id for cell in cells if not (cell.setup or cell.role in ("solution", "check"))}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        start = Path(folder, "start")
        source = lesson.built("solutions", start)
        source.parent.mkdir(parents=True)
        shutil.copy(lesson.built("solutions"), source)
        shutil.copy(ROOT / "course" / "nbgrader_config.py", start)
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", lesson.assignment]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=start, env=environment, capture_output=True, check=True)

        def one(item: tuple[str, Files]) -> str:
            name, files = item
            course = shutil.copytree(start, Path(folder, f"of-{name}"))
            hand_in(course, lesson, name, {file: _lean(content, heavy) for file, content in files.items()})
            return stock_outcome(course, lesson.assignment, lesson.slug, name, MARK)

        return dict(zip(submissions, pool.map(one, submissions.items()), strict=True))


def _lean(content: bytes, heavy: set[str]) -> bytes:
    """The notebook without training cells, if it is one."""
    try:
        notebook = json.loads(content)
        kept = [c for c in notebook["cells"] if c["cell_type"] != "code" or c.get("id") not in heavy]
        return json.dumps(notebook | {"cells": kept}).encode()
    except (KeyError, ValueError, TypeError):
        return content


def by_course(lesson: Lesson, submissions: dict[str, Files]) -> dict[str, str]:
    """Marks by name through the real command."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, files in submissions.items():
            hand_in(root, lesson, name, files)
        command = [sys.executable, "-m", "course.cli", "grade", lesson.id]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
            found = book.assignment_submissions(lesson.assignment)
            return {entry.student.id: f"{entry.score:g}" for entry in found}


def main() -> int:
    """Print the table; return 1 if `course grade` gives any of them other marks than it deserves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="VARIANT", default=list(VARIANTS))
    parser.add_argument("--stock", action="store_true", help="stock nbgrader too, some seconds each")
    options = parser.parse_args()
    lesson, submissions = find_lesson("18-01"), made(options.only)
    columns = {"by grade id": by_grade_id(lesson, submissions)}
    if options.stock:
        columns["stock"] = by_stock(lesson, submissions)
    columns["course grade"] = by_course(lesson, submissions)
    print(f"{'variant':52} {'due':>4}", *(f"{name:>12}" for name in columns))
    for name in submissions:
        print(f"{name:52} {VARIANTS[name][1]:4}", *(f"{marks[name]:>12}" for marks in columns.values()))
    for column, marks in columns.items():
        kept = sum(marks[name] == f"{VARIANTS[name][1]:g}" for name in submissions)
        print(f"{column}: {kept} of {len(submissions)} get what they deserve")
    return int(any(columns["course grade"][name] != f"{VARIANTS[name][1]:g}" for name in submissions))


if __name__ == "__main__":
    sys.exit(main())
