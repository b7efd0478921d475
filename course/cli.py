"""The `course` command.

course build                 # every lesson: source → executed solutions → releases in both languages
course build --check         # write nothing; name what differs
course build --stamp 18-01   # the translations of this lesson were reviewed
course check 18-01           # the checks against their mutants
course grade 18-01           # what was handed in below submitted/, in a sandbox
course export 18-01          # the gradebook as CSV
course site --out DIR        # the lessons as web pages, in both languages
"""

from __future__ import annotations

import argparse
import os
import re
import sys

from course import trial
from course.build import build, differences, orphans, write
from course.grade.command import add_grade, run_export, run_grade
from course.lesson import Lesson, all_lessons, find_lesson, lessons_folder
from course.messages import CourseError, message
from course.site import add_site, run_site
from course.source import stamped
from minigpt.messages import LANGUAGES, MiniGPTError, nearest, use_language

OPTIONS = ("--check", "--stamp", "--lang", "--out", "--students", "--from", "--workers", "--scheduler")
OPTIONS += ("--trust-submissions",)


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is one sentence in the user's language."""

    def error(self, text: str):
        unknown = re.search(r"unrecognized arguments: (\S+)|invalid choice: '(.*?)'", text)
        together = re.search(r"argument (\S+): not allowed with argument (\S+)", text)
        if unknown:
            given = unknown[1] or unknown[2]
            known = ("build", "check", "grade", "export", "site", *OPTIONS)
            sentence = message("cli.unknown", given=given, hint=nearest(given, known))
        elif together:
            sentence = message("cli.together", one=together[1], other=together[2])
        else:  # a command or the value of an option is missing
            sentence = message("cli.missing", command=self.prog)
        self.exit(2, sentence + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 when something is wrong or not up to date."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.lang:
            use_language(options.lang)
        lessons = [find_lesson(word) for word in options.lessons] or all_lessons()
        if not lessons:
            raise CourseError("build.no-lessons", folder=lessons_folder())
        return options.run(options, lessons)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MiniGPTError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="course", description=message("cli.course"))
    commands = parser.add_subparsers(required=True, metavar=message("cli.command"))
    runs = {"build": _build, "check": _check, "grade": run_grade, "export": run_export, "site": run_site}
    areas = {"grade": "grade", "export": "grade", "site": "site"}
    for name, run in runs.items():
        text = message(f"{areas.get(name, 'cli')}.{name}")
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("lessons", nargs="*", metavar=message("cli.lesson"), help=message("cli.lessons"))
        command.add_argument("--lang", metavar="|".join(LANGUAGES), help=message("cli.lang"))
        command.set_defaults(run=run)
        if name == "build":
            choice = command.add_mutually_exclusive_group()
            choice.add_argument("--check", action="store_true", help=message("cli.build-check"))
            choice.add_argument("--stamp", action="store_true", help=message("cli.build-stamp"))
        elif name == "grade":
            add_grade(command)
        elif name == "site":
            add_site(command)
    return parser


def _build(options: argparse.Namespace, lessons: list[Lesson]) -> int:
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
    file = lesson.folder / "lesson.py"
    text = stamped(file)
    if text == file.read_text(encoding="utf-8"):
        print(message("build.stamp-current", file=file.name))
        return
    write(file, text)
    print(message("build.stamped", file=file.name))


def _check(options: argparse.Namespace, lessons: list[Lesson]) -> int:
    reports = [trial.run(lesson) for lesson in lessons]
    for report in reports:
        for sentence in report.findings:
            print(sentence, file=sys.stderr)
        print(report.summary())
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
