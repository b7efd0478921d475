"""Grade an assignment: every submission gets a result, a kill loses nothing, twice is the same as once.

    report = grade_assignment(find_lesson("18-01"), root, students=None, workers=2)

`root` is nbgrader's course directory. A finished submission is a file, `autograded/.results/<assignment>/
<student>.json`, written in one piece and named by what it was made from: a run that was killed takes up
where it stopped, and a submission that did not change is not graded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.build import to_text, write
from course.grade.gradebook import Ledger, to_json
from course.grade.judge import grade, mode_of, seed_of
from course.grade.normalise import HandedIn, normalise
from course.grade.sandbox import strongest
from course.grade.workshop import QUESTION_SECONDS, Workshop
from course.lesson import Lesson
from course.messages import CourseError, message
from minigpt.messages import LANGUAGES, nearest

FORMAT = 1  # of a result; another number grades everything anew


@dataclass
class Report:
    """What a run did."""

    level: str
    results: dict[str, dict] = field(default_factory=dict)
    graded: int = 0
    seconds: float = 0.0


def grade_assignment(
    lesson: Lesson,
    root: Path,
    students: list[str] | None = None,
    workers: int | None = None,
    trust: bool = False,
    seconds: float = QUESTION_SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Grade the assignment's submissions below `root/submitted` and write everything nbgrader knows.

    Raises:
        CourseError: nothing was handed in, a student is unknown, the release or the solution is missing, or
        this machine has no sandbox and `trust` is false.
    """
    started = time.monotonic()
    level = strongest()
    if level == "none" and not trust:
        raise CourseError("grade.no-sandbox")
    releases = {code: read_notebook(lesson.built(code)) for code in LANGUAGES}
    names = _students(root, lesson, students)
    release = hashlib.sha256("".join(to_text(releases[code]) for code in LANGUAGES).encode()).hexdigest()
    report = Report(level)
    waiting: dict[str, tuple[HandedIn, str]] = {}
    with Ledger(root, lesson, releases) as ledger:
        for name in names:
            try:
                handed_in = _hand_in(root, lesson, name, releases["en"])
            except Exception as error:
                handed_in = HandedIn(problem=("grade.failed", {"what": type(error).__name__}))
            made_of = f"{FORMAT} {name} {handed_in.digest} {release} {lesson.revision} {lesson.slug}"
            key = hashlib.sha256(made_of.encode()).hexdigest()
            known = _known(_result_file(root, lesson, name))
            if known and known["made_of"] == key:
                report.results[name] = known
                if not ledger.has(name):
                    ledger.write(known)
            else:
                waiting[name] = (handed_in, key, known is not None)
        progress(len(report.results), len(names))
        if waiting:
            with Workshop(lesson, releases["en"], level, seconds) as workshop:
                _grade(
                    workshop, root, waiting, ledger, report, workers, lambda done: progress(done, len(names))
                )
    report.graded = len(waiting)
    report.seconds = time.monotonic() - started
    return report


def _grade(workshop, root, waiting, ledger, report, workers, progress) -> None:
    lesson = workshop.lesson
    solutions = _solutions(read_notebook(lesson.built("solutions")))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        modes = dict(
            pool.map(lambda check: (check.name, mode_of(check, solutions, workshop)), lesson.checks.values())
        )
        tasks = {
            pool.submit(_safely, name, handed_in, workshop.release, workshop, modes): (name, key, again)
            for name, (handed_in, key, again) in waiting.items()
        }
        try:
            for task in as_completed(tasks):
                name, key, again = tasks[task]
                result = task.result() | {"made_of": key, "again": again}
                write(_result_file(root, lesson, name), to_json(result))
                ledger.write(result)
                report.results[name] = result
                progress(len(report.results))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _safely(name: str, handed_in: HandedIn, release: NotebookNode, workshop: Workshop, modes: dict) -> dict:
    """Grade; whatever goes wrong with one submission is that submission's problem, told in its result."""
    try:
        return grade(name, handed_in, release, workshop, modes)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"[:300]
        failed = HandedIn(language=handed_in.language, problem=("grade.failed", {"what": what}))
        return grade(name, failed, release, workshop, modes)


def read_notebook(file: Path) -> NotebookNode:
    """Read one of the course's own notebooks.

    Raises:
        CourseError: it is not there.
    """
    if not file.is_file():
        raise CourseError("grade.no-release", file=file)
    return nbformat.read(file, as_version=4)


def submitted(root: Path, lesson: Lesson) -> list[str]:
    """The students who handed something in for the lesson."""
    folder = root / "submitted"
    if not folder.is_dir():
        return []
    names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return sorted(name for name in names if os.path.lexists(folder / name / lesson.assignment))


def _students(root: Path, lesson: Lesson, asked: list[str] | None) -> list[str]:
    names = submitted(root, lesson)
    if not names:
        raise CourseError("grade.nothing", folder=root / "submitted", assignment=lesson.assignment)
    for name in asked or ():
        if name not in names:
            raise CourseError("grade.unknown-student", given=name, hint=nearest(name, names))
    return [name for name in names if not asked or name in asked]


def _hand_in(root: Path, lesson: Lesson, student: str, release: NotebookNode) -> HandedIn:
    folder = root / "submitted" / student / lesson.assignment
    for part in (folder.parent, folder):
        if part.is_symlink() or not part.is_dir():
            return HandedIn(problem=("grade.a-link", {"file": part.name}), digest="link")
    file = folder / f"{lesson.slug}.ipynb"
    others = sorted(folder.glob("*.ipynb"))
    if not os.path.lexists(file) and len(others) == 1:
        handed_in = normalise(others[0], release)
        handed_in.note("renamed", file=others[0].name)
        return handed_in
    return normalise(file, release)


def _solutions(notebook: NotebookNode) -> dict[str, str]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "nbgrader" in cell.metadata]
    return {c.metadata.nbgrader.grade_id: c.source for c in cells if c.metadata.nbgrader.solution}


def _result_file(root: Path, lesson: Lesson, student: str) -> Path:
    return root / "autograded" / ".results" / lesson.assignment / f"{student}.json"


def _known(file: Path) -> dict | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def needs_person(result: dict) -> list[str]:
    """Why a person should look at this submission, in the language in force: empty if nobody needs to."""
    reasons = [result["problem"]] if result["problem"] else []
    keys = {v["key"] for v in result["checks"].values()} & {
        f"grade.{r}" for r in ("time", "ended", "flood", "frame")
    }
    return reasons + [message(key) for key in sorted(keys)] + result["notes"]


__all__ = ["Report", "grade_assignment", "needs_person", "read_notebook", "seed_of", "submitted"]
