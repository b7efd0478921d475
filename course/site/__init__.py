"""A static edition of the lessons, to be read on a phone or put on any web server: `course site --out DIR`.

    write_site(lessons, Path("build/site"))      # index.html, style.css, en/…, es/…

Given some of the lessons it writes only their pages; index, maps and arrows lead to every page that is there.

A page shows a lesson as its release does, with the plots and the printed figures of the solved run, but no
line of a solution. The English run is the one in solutions/; the Spanish one is made here and kept in
`build/executed/` until the lesson changes. Pages ask for nothing from the network and need no script.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.build import source_notebook, to_text, write
from course.execute import execute
from course.lesson import ROOT, Lesson, all_lessons
from course.messages import CourseError, message
from course.site.inspection import faults
from course.site.page import index_page, lesson_page, page_name, start_page, style
from course.source import read_source
from minigpt.messages import LANGUAGES, reason_of

OUT = ROOT / "build" / "site"
EXECUTED = ROOT / "build" / "executed"


def write_site(
    lessons: list[Lesson], out: Path, run: Callable[[Lesson, str], NotebookNode] | None = None
) -> list[Path]:
    """Write every page and return their paths; `run(lesson, code)` gives the executed notebook.

    Raises:
        CourseError: a lesson's solution is missing or older than the lesson, a cell fails, or a file cannot
        be written.
    """
    run = run or executed
    _write(out / "style.css", style())  # before any lesson runs: a folder that cannot be is told at once
    pages = {"index.html": start_page()}
    shown = _shown(lessons, out)
    for code in LANGUAGES:
        pages[f"{code}/index.html"] = index_page(shown, code)
        for lesson in lessons:
            pages[f"{code}/{page_name(lesson)}"] = lesson_page(lesson, run(lesson, code), code, shown)
    for name, text in pages.items():
        _write(out / name, text)
    return [out / name for name in ("style.css", *pages)]


def _shown(lessons: list[Lesson], out: Path) -> list[Lesson]:
    """Return, in their order, these lessons and the others that have their pages in `out` already."""
    shown = {lesson.id: lesson for lesson in lessons}
    for lesson in all_lessons():
        if all((out / code / page_name(lesson)).is_file() for code in LANGUAGES):
            shown.setdefault(lesson.id, lesson)
    return sorted(shown.values(), key=lambda lesson: lesson.id)


def executed(lesson: Lesson, code: str) -> NotebookNode:
    """Return the lesson's solved notebook in language `code`, with its outputs; run it if nobody has.

    Raises:
        CourseError: the English one is not what `course build` makes, or a cell fails.
    """
    file = lesson.built("solutions")
    if code != "en":
        file = EXECUTED / f"{lesson.assignment}.{code}.{lesson.revision}.ipynb"
        if not file.is_file():
            print(message("site.running", lesson=lesson.assignment), flush=True)
            cells = read_source(lesson.folder / "lesson.py")
            notebook, _ = execute(source_notebook(lesson, cells, code), lesson.slug)
            write(file, to_text(notebook))
    if not file.is_file():
        raise CourseError("build.absent", file=file)
    notebook = nbformat.read(file, as_version=4)
    if notebook.metadata.lesson.revision != lesson.revision:
        raise CourseError("site.stale", file=file, lesson=lesson.id)
    return notebook


def _write(file: Path, text: str) -> None:
    try:
        write(file, text)
    except OSError as error:
        raise CourseError("site.cannot-write", file=file, reason=reason_of(error)) from None


def add_site(command: argparse.ArgumentParser) -> None:
    """The option of `course site`."""
    command.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=message("site.out"))


def run_site(options: argparse.Namespace, lessons: list[Lesson]) -> int:
    """Write the site and inspect it; return 0, or 1 if a page has a problem."""
    pages = write_site(lessons, options.out)
    found = faults(options.out, lessons)
    for sentence in found:
        print(sentence)
    print(message("site.wrote", pages=len(pages) - 1, lessons=len(lessons), file=options.out / "index.html"))
    return 1 if found else 0
