"""The `course` command.

course build                 # every lesson: source → executed solutions → releases in both languages
course build --check         # write nothing; name what differs
course build --stamp 18-01   # the translations of this lesson were reviewed
course check 18-01           # the checks against their mutants
course check --mutate 18-01  # each constant and comparison of the reference changed: does a check notice?
course grade 18-01           # what was handed in below submitted/, in a sandbox
course export 18-01          # the gradebook as CSV
course site --out DIR        # the lessons as web pages, in both languages
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from course.lesson import Lesson, all_lessons, find_lesson, lessons_folder
from course.messages import CourseError, message
from minigpt.cli.command_line import Command, answer, dispatch
from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.messages import language, use_language

# Each command and the area of its messages.
COMMANDS = {"build": "cli", "check": "cli", "grade": "grade", "export": "grade", "site": "site"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 when something is wrong or not up to date."""
    return answer(_run, sys.argv[1:] if arguments is None else arguments, unusable=1)


def _run(words: list[str]) -> int:
    commands = {
        name: Command(message(f"{area}.{name}"), partial(_prepare, name)) for name, area in COMMANDS.items()
    }
    return dispatch("course", message("cli.course"), commands, words)


def _prepare(name: str, parser: Parser) -> Callable[[Arguments], int]:
    """Let one command add its arguments; its modules are imported only now: nbgrader's take two seconds."""
    parser.add_argument("lessons", nargs="*", metavar=message("cli.lesson"), help=message("cli.lessons"))
    run: Callable[[Arguments, list[Lesson]], int]
    if name == "build":
        parser.add_argument("--check", action="store_true", help=message("cli.build-check"))
        parser.add_argument("--stamp", action="store_true", help=message("cli.build-stamp"))
        run = _build
    elif name == "check":
        parser.add_argument("--mutate", action="store_true", help=message("cli.mutate"))
        run = _check
    elif name == "site":
        from course.site import add_site, run_site

        add_site(parser)
        run = run_site
    else:
        from course.grade.command import add_grade, run_export, run_grade

        if name == "grade":
            add_grade(parser)
        run = run_grade if name == "grade" else run_export

    def work(options: Arguments) -> int:
        lessons = [find_lesson(word) for word in options.lessons or []] or all_lessons()
        if not lessons:
            raise CourseError("build.no-lessons", folder=lessons_folder())
        return run(options, lessons)

    return work


def _build(options: Arguments, lessons: list[Lesson]) -> int:
    if options.check and options.stamp:
        raise UsageError("general.together", prog="course build", one="--stamp", other="--check")
    from course.build import build

    if options.check:
        return _report_differences(lessons, everything=not options.lessons)
    for lesson in lessons:
        if options.stamp:
            _stamp(lesson)
            continue
        seconds = build(lesson)
        slowest = max(seconds, key=seconds.get)
        print(
            message(
                "build.wrote",
                lesson=lesson.assignment,
                cells=len(seconds),
                seconds=f"{sum(seconds.values()):.0f}",
                slowest=slowest,
                longest=f"{seconds[slowest]:.1f}",
            )
        )
    return 0


def _report_differences(lessons: list[Lesson], everything: bool) -> int:
    from course.build import differences, orphans

    found = []
    for lesson in lessons:
        changes = differences(lesson)
        found += changes
        if not changes:
            print(message("build.current", lesson=lesson.assignment))
    if everything:
        found += orphans(lessons)
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


def _stamp(lesson: Lesson) -> None:
    from course.build import write
    from course.source import stamped

    file = lesson.folder / "lesson.py"
    text = stamped(file)
    if text == file.read_text(encoding="utf-8"):
        print(message("build.stamp-current", file=file.name))
        return
    write(file, text)
    print(message("build.stamped", file=file.name))


def _check(options: Arguments, lessons: list[Lesson]) -> int:
    findings = 0
    examine = partial(_examined, mutates=options.mutate)
    workers = min(len(lessons), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, initializer=_join, initargs=(language(), workers)) as pool:
        examined = map if workers == 1 else pool.map  # a single lesson needs no process of its own
        for sentences, summary in examined(examine, [lesson.id for lesson in lessons]):
            for sentence in sentences:
                print(sentence, file=sys.stderr)
            print(summary, flush=True)
            findings += len(sentences)
    return 1 if findings else 0


def _join(language: str, workers: int) -> None:
    """Make a new process one of several: it speaks the same language and takes its share of the cores."""
    import torch

    use_language(language)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


def _examined(name: str, mutates: bool) -> tuple[list[str], str]:
    """Return what is wrong with a lesson's checks, and a sentence with the counts."""
    from course import mutation, trial

    lesson = find_lesson(name)
    report, summary = mutation.mutate(lesson) if mutates else (trial.run(lesson), None)
    return report.findings, summary or report.summary()


if __name__ == "__main__":
    sys.exit(main())
