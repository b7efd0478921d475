"""The names that a lesson's notebook imports; its code is the same in both languages.

    from course.notebook import check, lesson, t

    lesson("18-01")                            # first cell: opens the lesson in the notebook's language
    plt.xlabel(t("step"))                      # a label of the lesson, in that language
    check("init-weights/std", init_weights)    # a graded cell: a green line, or an error that explains itself

The language is the notebook's own: a release carries it in its metadata, which travel with a submission.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course import kernel_errors, landing, open_lesson, progress, unseen
from course.check import Check, find_check
from course.judging import Result, explain, run_check, untied
from course.lesson import Lesson, find_lesson
from course.messages import WIDTH, CourseError, message
from course.open_lesson import notebook_language
from course.probing import NotWritten
from minigpt.messages import LANGUAGES, language, use_language

GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
CHECK_SECONDS = 60  # an answer that takes longer loops for ever

_ties: dict[str, str] = {}  # by lesson, what its checks have to agree on


class CheckFailed(AssertionError):
    """A check found a misconception; shown in the notebook as a short message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        first, *rest = str(self).split("\n")
        return [f"{RED}{first}{PLAIN}", *rest]


class _TooLong(KeyboardInterrupt):
    """Ends an answer that does not end; like an interrupt, it goes through whatever catches exceptions."""


def lesson(identity: str) -> None:
    """Open a lesson: `check` and `t` refer to it from here on, and everything speaks the notebook's language.

    Says so, in one line, when notebook and course are of different versions or the notebook lies elsewhere.

    Raises:
        CourseError: there is no such lesson in this course.
    """
    shell = _shell()
    if shell:
        kernel_errors.install(shell)
    facts = open_lesson.facts(identity)
    code = notebook_language(identity)
    if code:
        use_language(code)
        os.environ["MINIGPT_LANG"] = code  # commands started from the notebook speak it too
    try:
        opened = open_lesson.opened = find_lesson(identity)
    except CourseError as error:
        raise (
            CourseError("lesson.not-here", given=identity) if error.key == "lesson.unknown" else error
        ) from None
    for name in {check.answer for check in opened.checks.values()}:
        _namespace().setdefault(name, NotWritten(name))
    if _is_other_revision(opened, facts):
        print(message("lesson.other-revision"))
    homes = [opened.built(kind).parent for kind in (*LANGUAGES, "solutions")]
    if "JPY_SESSION_NAME" in os.environ and Path.cwd() not in homes:
        print(message("lesson.other-folder"))


def t(key: str, **values: object) -> str:
    """Return a text of the open lesson in the notebook's language, its placeholders filled."""
    return open_lesson.current().texts.text(key, **values)


def lesson_file(name: str) -> Path:
    """Return the path of a file in the open lesson's folder, such as a log recorded before."""
    return open_lesson.current().folder / name


def check(name: str, answer: object) -> None:
    """Check an answer on the visible cases: print a green line, or raise an error that says where to look.

    Raises:
        CheckFailed: a case did not pass.
        CourseError: the open lesson has no check of that name.
    """
    current = open_lesson.current()
    found = find_check(current.checks, name)
    result = _run_in_time(found, answer)
    if result.printed.strip():
        print(result.printed.rstrip())
    fault, ran = result.wrong, unseen.cells_run(_shell())
    if fault is None:
        fault = unseen.computed(found, ran)
    elif fault.key == "check.not-written":
        fault = unseen.refusal(found, ran) or fault
    if result.tie is not None and fault is None:
        if found is next(iter(current.checks.values())):
            _ties[current.id] = result.tie
        first = _ties.setdefault(current.id, result.tie)
        fault = untied(found, result.tie, first) if result.tie != first else None
    if fault is not None:
        raise CheckFailed(explain(fault, found, result.case, current.texts))
    line = message("check.passed", title=current.texts.text(name))
    print(GREEN + textwrap.fill(line, WIDTH, subsequent_indent="  ") + PLAIN)
    remark = unseen.remark(found, ran)
    if remark:
        print(YELLOW + textwrap.fill(f"⚠ {remark}", WIDTH, subsequent_indent="  ") + PLAIN)
    _keep_progress(current, name)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the open lesson and the language back afterwards: for a program that runs a notebook's cells."""
    before, code, variable = open_lesson.opened, language(), os.environ.get("MINIGPT_LANG")
    try:
        yield
    finally:
        open_lesson.opened = before
        use_language(code)
        if variable is None:
            os.environ.pop("MINIGPT_LANG", None)
        else:
            os.environ["MINIGPT_LANG"] = variable


def _is_other_revision(current: Lesson, facts: dict) -> bool:
    """Whether the notebook was made from other files; an edition without solutions cannot tell."""
    try:
        return facts.get("revision") not in (None, current.revision)
    except CourseError:
        return False


def _keep_progress(current: Lesson, name: str) -> None:
    """Count a passed check where a learner passed it: in a release's own folder."""
    if Path.cwd() in [current.built(code).parent for code in LANGUAGES]:
        try:
            if progress.record(current.id, name):
                landing.refresh()
        except (OSError, CourseError):  # a course that cannot be written to teaches all the same
            pass


def _run_in_time(found: Check, answer: object) -> Result:
    """Run a check, but no longer than CHECK_SECONDS where the system can ring (not on Windows).

    Raises:
        CheckFailed: the time is up.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return run_check(found, answer)

    def ring(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, CHECK_SECONDS)
    try:
        return run_check(found, answer)
    except _TooLong:
        title = message("check.failed", title=open_lesson.current().texts.text(found.name))
        text = message("check.too-long", name=found.answer, seconds=CHECK_SECONDS)
        raise CheckFailed(f"{title}\n{textwrap.fill(text, WIDTH, subsequent_indent='  ')}") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _shell():
    """The notebook's IPython shell, or None where there is no notebook."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _namespace() -> dict:
    """The notebook's own names; an empty throw-away where there is no notebook."""
    shell = _shell()
    return shell.user_ns if shell else {}
