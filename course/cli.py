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
import re
import sys

from course.lesson import Lesson, all_lessons, find_lesson, lessons_folder
from course.messages import CourseError, message
from minigpt.cli.command_line import LocalFormatter, answer, localise
from minigpt.messages import LANGUAGES, nearest

# Each command and the area of its messages.
COMMANDS = {"build": "cli", "check": "cli", "grade": "grade", "export": "grade", "site": "site"}


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is one sentence in the user's language."""

    def __init__(self, **settings):
        super().__init__(formatter_class=LocalFormatter, **settings)
        localise(self)

    def parse_known_args(self, args=None, namespace=None):
        """Refuse here what this command does not know: the parser above knows no options to suggest."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {unknown[0]}")
        return found, unknown

    def error(self, text: str):
        unknown = re.search(r"unrecognized arguments: (\S+)|invalid choice: '(.*?)'", text)
        together = re.search(r"argument (\S+): not allowed with argument (\S+)", text)
        wrong = re.search(r"argument (\S+): invalid \w+ value: '(.*)'", text)
        if unknown:
            given = unknown[1] or unknown[2]
            known = COMMANDS if unknown[2] else self._option_string_actions.keys() - {"-h", "--help"}
            sentence = message("cli.unknown", given=given, hint=nearest(given, known), command=self.prog)
        elif together:
            sentence = message("cli.together", one=together[1], other=together[2])
        elif wrong:
            sentence = message("cli.wrong-value", option=wrong[1], given=wrong[2], command=self.prog)
        else:  # a command or the value of an option is missing
            sentence = message("cli.missing", command=self.prog)
        self.exit(2, sentence + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 when something is wrong or not up to date."""
    return answer(_run, sys.argv[1:] if arguments is None else arguments, unusable=1)


def _run(words: list[str]) -> int:
    options = _parser(words).parse_args(words)
    lessons = [find_lesson(word) for word in options.lessons] or all_lessons()
    if not lessons:
        raise CourseError("build.no-lessons", folder=lessons_folder())
    return options.run(options, lessons)


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """Return the parser for these words; only the command that they name knows its options."""
    parser = Parser(prog="course", description=message("cli.course"))
    add_language(parser)
    commands = parser.add_subparsers(required=True, metavar=message("cli.command"))
    asked = next((word for word in words if word in COMMANDS), None)
    for name, area in COMMANDS.items():
        text = message(f"{area}.{name}")
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("lessons", nargs="*", metavar=message("cli.lesson"), help=message("cli.lessons"))
        if name == asked:
            _add_options(command, name)
        add_language(command)
    return parser


def add_language(parser: argparse.ArgumentParser, text: str | None = None) -> None:
    """Let the help tell of --lang; `minigpt.cli.command_line.answer` has read it already."""
    parser.add_argument("--lang", metavar="|".join(LANGUAGES), help=text or message("cli.lang"))


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    """Add what one command takes; its modules are imported only now, for nbgrader's take two seconds."""
    if name == "build":
        choice = command.add_mutually_exclusive_group()
        choice.add_argument("--check", action="store_true", help=message("cli.build-check"))
        choice.add_argument("--stamp", action="store_true", help=message("cli.build-stamp"))
        command.set_defaults(run=_build)
    elif name == "check":
        command.set_defaults(run=_check)
    elif name == "site":
        from course.site import add_site, run_site

        add_site(command)
        command.set_defaults(run=run_site)
    else:
        from course.grade.command import add_grade, run_export, run_grade

        if name == "grade":
            add_grade(command)
        command.set_defaults(run=run_grade if name == "grade" else run_export)


def _build(options: argparse.Namespace, lessons: list[Lesson]) -> int:
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


def _check(options: argparse.Namespace, lessons: list[Lesson]) -> int:
    from course import trial

    reports = [trial.run(lesson) for lesson in lessons]
    for report in reports:
        for sentence in report.findings:
            print(sentence, file=sys.stderr)
        print(report.summary())
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
