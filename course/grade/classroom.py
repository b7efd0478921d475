"""Grade an assignment: every submission gets a result, a kill loses nothing, twice is the same as once.

    report = grade_assignment(find_lesson("18-01"), root, workers=2)

`root` is nbgrader's course directory. A finished submission is a file, `autograded/.results/<assignment>/
<student>.json`, written in one piece and named by what it was made from: a run that was killed takes up
where it stopped, and a submission that did not change is not graded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import parse_utc

from course.build import to_text, write
from course.grade.delivery import Delivery, Student, deliver
from course.grade.gradebook import Ledger, to_json
from course.grade.mishaps import told, turn
from course.grade.names import hold
from course.grade.normalise import HandedIn, in_words, normalise, worked
from course.grade.reading import Unreadable, read_bytes
from course.grade.sandbox import strongest
from course.grade.secret import course_secret
from course.grade.team import Cores, Job
from course.grade.workshop import QUESTION_SECONDS
from course.lesson import ROOT, Lesson
from course.messages import CourseError, message
from course.plain import printable, whole
from minigpt.messages import LANGUAGES, nearest

FORMAT = 5  # of a result; another number grades everything again
CLOCKS_DIFFER = timedelta(minutes=5)
MAX_NOTEBOOKS = 12  # of one student's folder that are read to find the one that was worked in
MAX_REASONS = 6  # why a person should look at one submission; the rest stands in its feedback
MINOR = ("grade.cell-edited", "grade.cell-missing", "grade.cell-tags", "grade.cell-twice", "grade.cell-extra")


@dataclass
class Report:
    """What a run did; `graded` counts the submissions that were not known already."""

    results: dict[str, dict] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=Delivery)
    mishaps: dict[str, list] = field(default_factory=dict)  # by student, what their pages lack
    graded: int = 0
    seconds: float = 0.0

    @property
    def levels(self) -> list[str]:
        """The protections that the results were made under."""
        return sorted({result["level"] for result in self.results.values()})

    @property
    def filtered(self) -> bool:
        """Whether system calls were refused wherever a result was made: not on every kind of processor."""
        return all(result.get("filtered", True) for result in self.results.values())


def grade_assignment(
    lesson: Lesson,
    root: Path,
    students: list[str] | None = None,
    workers: int | None = None,
    trust: bool = False,
    seconds: float = QUESTION_SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
    source: Path | None = None,
    scheduler: str | None = None,
    built: Path = ROOT,
) -> Report:
    """Grade the assignment's submissions below `root/submitted` and write everything nbgrader knows.

    `source` is a zip or folder of an LMS to lay there first, `scheduler` the address of a Dask cluster to
    grade on, `built` the repository that holds the built notebooks.

    Raises:
        CourseError: nothing was handed in, a student is unknown, the release or the solution is missing or
        not of the lesson's present state, the disk or the gradebook refuses, or no sandbox is there and
        `trust` is false.
    """
    started = time.monotonic()
    if scheduler is None and strongest() == "none" and not trust:
        raise CourseError("grade.no-sandbox")
    releases = {code: _release(lesson, code, built) for code in LANGUAGES}
    job = Job(lesson, releases["en"], _solutions(_release(lesson, "solutions", built)), seconds, trust)
    report = Report()
    with told(root), Ledger(root, lesson, releases) as ledger:
        job = replace(job, secret=course_secret(root))
        if source is not None:
            with turn(root):
                report.delivery = deliver(source, root, lesson, ledger.roster(), releases)
        names = _students(root, lesson, students)
        people = {student.id: student for student in ledger.roster()}
        waiting = _known_and_waiting(root, lesson, names, releases, ledger, report, people)
        progress(len(report.results), len(names))
        if waiting:
            with _team(job, workers, scheduler) as team:
                with closing(
                    team.grade({name: handed_in for name, (handed_in, _) in waiting.items()})
                ) as done:
                    for name, result in done:
                        handed_in, result["made_of"] = waiting[name]
                        result |= {"code": handed_in.code, "pictures": handed_in.pictures}
                        hold(result, people.get(name) or Student(name))
                        write(_result_file(root, lesson, name), to_json(result))
                        report.mishaps[name] = ledger.write(result)
                        report.results[name] = result
                        progress(len(report.results), len(names))
    report.graded = len(waiting)
    report.seconds = time.monotonic() - started
    return report


def _team(job: Job, workers: int | None, scheduler: str | None):
    if scheduler is None:
        return Cores(job, workers)
    try:
        from course.grade.cluster import Cluster
    except ImportError:
        raise CourseError("grade.no-dask") from None
    return Cluster(scheduler, job)


def _known_and_waiting(
    root, lesson, names, releases, ledger, report, people
) -> dict[str, tuple[HandedIn, str]]:
    """Put what is known into the report and, after a kill, into the ledger; return the rest."""
    release = hashlib.sha256("".join(to_text(releases[code]) for code in LANGUAGES).encode()).hexdigest()
    waiting = {}
    for name in names:
        try:
            handed_in = _hand_in(root, lesson, name, releases)
        except Exception as error:
            handed_in = HandedIn(problem=("grade.failed", {"what": type(error).__name__}))
        known = _known(_result_file(root, lesson, name))
        listed = people.get(name) or Student(name)
        made_of = f"{FORMAT} {name} {handed_in.digest} {release} {lesson.revision} {lesson.slug}"
        made_of += f" {listed.first_name} {listed.last_name}"
        key = hashlib.sha256(made_of.encode("utf-8", "surrogatepass")).hexdigest()
        if known and known.get("made_of") == key and not known.get("retry"):
            report.results[name] = known
            if not ledger.has(known):
                report.mishaps[name] = ledger.write(known)
        else:
            waiting[name] = (_kept(handed_in, known, releases["en"]), key)
    return waiting


def _kept(handed_in: HandedIn, known: dict | None, release: NotebookNode) -> HandedIn:
    """Where what lies there now cannot be read: the work that was there before, if that could."""
    problem = handed_in.problem
    if problem is None or problem[0] == "grade.failed" or not known or known.get("problem"):
        return handed_in
    try:
        before = HandedIn(
            cells=known["cells"],
            notes=[("grade.kept-earlier", {"why": in_words(problem)})],
            language=known["language"],
            timestamp=known["timestamp"],
            code=[(name, source) for name, source in known["code"]],
            pictures=known["pictures"],
        )
        return before if worked(before, release) else handed_in
    except (KeyError, TypeError, ValueError, AttributeError):  # a result of another version
        return handed_in


def _release(lesson: Lesson, kind: str, built: Path) -> NotebookNode:
    file = lesson.built(kind, built)
    notebook = read_notebook(file)
    if notebook.metadata.get("lesson", {}).get("revision") != lesson.revision:
        raise CourseError("grade.release-stale", file=file)
    return notebook


def read_notebook(file: Path) -> NotebookNode:
    """Read one of the course's own notebooks.

    Raises:
        CourseError: it is not there, or not a notebook.
    """
    if not file.is_file():
        raise CourseError("grade.no-release", file=file)
    try:
        return nbformat.read(file, as_version=4)
    except Exception as error:  # nbformat raises whatever its JSON and schema libraries raise
        raise CourseError("grade.release-damaged", file=file, what=type(error).__name__) from None


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
    names = [name for name in names if not asked or name in asked]
    for name in names:
        if whole(name) != name:
            raise CourseError("grade.folder-name", folder=printable(name))
    return names


def _hand_in(root: Path, lesson: Lesson, student: str, releases: dict[str, NotebookNode]) -> HandedIn:
    folder = root / "submitted" / student / lesson.assignment
    for part in (folder.parent, folder):
        if part.is_symlink() or not part.is_dir():
            return HandedIn(problem=("grade.a-link", {"file": whole(part.name)}), digest="link")
    handed_in = _notebook(folder, lesson, releases)
    _note_time(handed_in, folder / "timestamp.txt")
    return handed_in


def _notebook(folder: Path, lesson: Lesson, releases: dict[str, NotebookNode]) -> HandedIn:
    """The notebook that was worked in: the one of the right name, unless another holds more."""
    file = folder / f"{lesson.slug}.ipynb"
    visible = (other for other in folder.iterdir() if not other.name.startswith("."))
    others = sorted(other for other in visible if other.suffix.lower() == ".ipynb")
    files = [file] if os.path.lexists(file) or not others else []
    files += [other for other in others if other.name != file.name]
    read = {other.name: normalise(other, releases) for other in files[:MAX_NOTEBOOKS]}
    work = {name: worked(found, releases["en"]) for name, found in read.items() if found.problem is None}
    most = max(work.values(), default=0)
    best = [name for name in work if work[name] == most] or list(read)
    chosen = file.name if file.name in best else best[-1]  # of copies (1), (2), … the last
    found = read[chosen]
    if len(files) > 1:
        found.digest = hashlib.sha256("".join(one.digest for one in read.values()).encode()).hexdigest()
    rivals = [name for name, amount in work.items() if amount and name != chosen]
    if rivals and any(read[name].cells != found.cells for name in rivals):
        found.note("one-of-several", file=whole(chosen), others=whole(", ".join(rivals))[:200])
    elif chosen != file.name:
        found.note("renamed", file=whole(chosen))
    return found


def _note_time(handed_in: HandedIn, file: Path) -> None:
    """Take over when it was handed in, which nbgrader keeps in a file beside it."""
    if not os.path.lexists(file):
        return
    try:
        text = read_bytes(file)[:100].decode().strip()
        when = parse_utc(text)
    except (Unreadable, ValueError, OverflowError, TypeError):
        handed_in.note("time-unreadable")
        return
    handed_in.digest += f" {text}"
    if when > datetime.now(UTC).replace(tzinfo=None) + CLOCKS_DIFFER:
        handed_in.note("time-future", time=text)
    else:
        handed_in.timestamp = when.isoformat()


def _solutions(notebook: NotebookNode) -> dict[str, str]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "nbgrader" in cell.metadata]
    return {c.metadata.nbgrader.grade_id: c.source for c in cells if c.metadata.nbgrader.solution}


def _result_file(root: Path, lesson: Lesson, student: str) -> Path:
    return root / "autograded" / ".results" / lesson.assignment / f"{student}.json"


def _known(file: Path) -> dict | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def needs_person(result: dict, mishaps: Iterable = ()) -> list[str]:
    """Why a person should look at this submission, in the language in force: empty if nobody needs to."""
    keys = {v["key"] for v in result["checks"].values()} & {
        f"grade.{r}" for r in ("time", "ended", "flood", "frame", "disk", "memory")
    }
    problem = [result["problem"]] if result["problem"] else []
    notes = [*result["notes"], *((key, {}) for key in sorted(keys))]
    notes.sort(key=lambda note: note[0] in MINOR)
    reasons = [in_words(note) for note in (*problem, *mishaps, *notes)]
    if len(reasons) > MAX_REASONS:
        more = len(reasons) - MAX_REASONS + 1
        reasons[MAX_REASONS - 1 :] = [message("grade.more-reasons", count=more)]
    return reasons
