"""`course grade` and `course export`: the command line of grading.

course grade 18-01 --students ana luis --workers 2
course grade 18-01 --from downloads/18-01.zip        # what Moodle or Canvas hands over
course grade 18-01 --scheduler tcp://10.0.0.5:8786   # on the machines of a Dask cluster
course export 18-01 > grades.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from course.grade.classroom import Report, grade_assignment, needs_person, submitted
from course.grade.gradebook import book_url
from course.grade.mishaps import told
from course.lesson import Lesson
from course.messages import CourseError, message
from course.plain import printable

COLUMNS = ("assignment", "student", "last_name", "first_name", "email", "lms_user_id", "score", "max_score",
           "needs_manual_grade", "handed_in_utc")  # fmt: skip


def add_grade(command: argparse.ArgumentParser) -> None:
    """The options of `course grade`."""
    command.add_argument(
        "--students", nargs="+", metavar=message("grade.student"), help=message("grade.students")
    )
    command.add_argument("--from", dest="source", metavar=message("grade.from"), help=message("grade.source"))
    command.add_argument("--workers", type=positive, metavar="N", help=message("grade.workers"))
    command.add_argument("--scheduler", metavar=message("grade.address"), help=message("grade.scheduler"))
    command.add_argument("--trust-submissions", action="store_true", help=message("grade.trust"))


def positive(text: str) -> int:
    """The number, if it is one that one can count to."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def run_grade(options: argparse.Namespace, lessons: list[Lesson]) -> int:
    """Grade; return 0, however good or bad the submissions are, and 1 if a lesson could not be graded."""
    if options.source and len(lessons) > 1:
        raise CourseError("grade.from-one-lesson")
    if not options.lessons and not options.source:
        lessons = [lesson for lesson in lessons if submitted(Path.cwd(), lesson)] or lessons[:1]
    skipped = 0
    for lesson in lessons:
        try:
            _grade_one(options, lesson)
        except CourseError as error:
            if len(lessons) == 1:
                raise
            print(message("grade.lesson-skipped", assignment=lesson.assignment, why=error), file=sys.stderr)
            skipped += 1
    return int(skipped > 0)


def _grade_one(options: argparse.Namespace, lesson: Lesson) -> None:
    bar = Progress(
        TextColumn(lesson.assignment),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task("")

    def show(done: int, total: int, bar: Progress = bar, task: TaskID = task) -> None:
        bar.start()  # not before there is something to count
        bar.update(task, completed=done, total=total)

    try:
        report = grade_assignment(
            lesson,
            Path.cwd(),
            options.students,
            options.workers,
            options.trust_submissions,
            source=Path(options.source) if options.source else None,
            scheduler=options.scheduler,
            progress=show,
        )
    finally:
        if bar.live.is_started:
            bar.stop()
    _print(lesson, report)


def _print(lesson: Lesson, report: Report) -> None:
    for student, result in sorted(report.results.items()):
        print(f"{printable(student):24} {result['points']:6g} / {result['maximum']:g}")
    people = {
        name: needs_person(result, report.mishaps.get(name, ()))
        for name, result in sorted(report.results.items())
    }
    people = {name: reasons for name, reasons in people.items() if reasons}
    if report.delivery.notes:
        print("\n" + message("grade.delivered", count=len(report.delivery.students)))
        print("\n".join(f"  {note}" for note in report.delivery.notes))
    if people:
        print("\n" + message("grade.needs-person"))
        for name, reasons in people.items():
            print("\n    ".join([f"  {printable(name)}", *map(printable, reasons)]))
    print()
    count, seconds = len(report.results), f"{report.seconds:.0f}"
    name = lesson.assignment
    print(message("grade.done", assignment=name, students=count, graded=report.graded, seconds=seconds))
    waited = [sum(result.get("waited", {}).values()) for result in report.results.values()]
    if any(waited):
        print(message("grade.waited", students=sum(map(bool, waited)), seconds=f"{sum(waited):.0f}"))
    for level in report.levels:
        print(message(f"grade.level-{level}"))
    if not report.filtered:
        print(message("grade.no-filter"))


def run_export(options: argparse.Namespace, lessons: list[Lesson]) -> int:
    """Write one row a student and assignment to standard output, as CSV."""
    from nbgrader.api import Gradebook

    book_file = Path.cwd() / "gradebook.db"
    if not book_file.is_file():
        raise CourseError("grade.no-gradebook", folder=Path.cwd())
    names = {lesson.assignment for lesson in lessons}
    with told(Path.cwd()), Gradebook(book_url(book_file)) as book:
        rows = [
            (
                entry.assignment.name,
                entry.student.id,
                entry.student.last_name or "",
                entry.student.first_name or "",
                entry.student.email or "",
                entry.student.lms_user_id or "",
                entry.score,
                entry.max_score,
                int(entry.needs_manual_grade),
                entry.timestamp.isoformat(sep=" ", timespec="seconds") if entry.timestamp else "",
            )
            for assignment in book.assignments
            if assignment.name in names
            for entry in assignment.submissions
        ]
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows([safe_cell(x) if isinstance(x, str) else x for x in row] for row in sorted(rows))
    return 0


def safe_cell(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
