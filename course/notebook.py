"""What a lesson's notebook imports; its code is the same in both languages.

    from course.notebook import check, lesson, t

    lesson("18-01")                            # first cell: opens the lesson in the notebook's language
    plt.xlabel(t("step"))                      # a label of the lesson, in that language
    check("init-weights/std", init_weights)    # a graded cell: a green line, or an error that explains itself

The language is the notebook's own: a release carries it in its metadata, which travel with a submission.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.check import find_check
from course.judging import WIDTH, explain, run_check
from course.lesson import Lesson, find_lesson
from course.messages import CourseError, message
from course.probing import NotWritten
from minigpt.messages import LANGUAGES, language, use_language

GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"

_open: Lesson | None = None


class CheckFailed(AssertionError):
    """A check found a misconception; shown in the notebook as a short message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        first, *rest = str(self).split("\n")
        return [f"{RED}{first}{PLAIN}", *rest]


def lesson(identity: str) -> None:
    """Open a lesson: `check` and `t` refer to it from here on, and everything speaks the notebook's language.

    Raises:
        CourseError: there is no such lesson.
    """
    global _open
    _open = find_lesson(identity)
    code = notebook_language(_open.id)
    if code:
        use_language(code)
        os.environ["MINIGPT_LANG"] = code  # commands started from the notebook speak it too
    for name in {check.answer for check in _open.checks.values()}:
        _namespace().setdefault(name, NotWritten(name))


def t(key: str, **values: object) -> str:
    """Return a text of the open lesson in the notebook's language, its placeholders filled."""
    return _current().texts.text(key, **values)


def check(name: str, answer: object) -> None:
    """Check an answer on the visible cases: print a green line, or raise an error that says what to look at.

    Raises:
        CheckFailed: a case did not pass.
        CourseError: the open lesson has no check of that name.
    """
    current = _current()
    found = find_check(current.checks, name)
    result = run_check(found, answer)
    if result.printed.strip():
        print(result.printed.rstrip())
    if result.wrong is not None:
        raise CheckFailed(explain(result.wrong, found, result.case, current.texts))
    line = message("check.passed", title=current.texts.text(name))
    print(GREEN + textwrap.fill(line, WIDTH, subsequent_indent="  ") + PLAIN)


def notebook_language(identity: str) -> str | None:
    """The language of the notebook here: its metadata's, else its folder's (`phase-18/es`), else None."""
    here = Path.cwd()
    session = os.environ.get("JPY_SESSION_NAME")  # the notebook's path, where Jupyter Server sets it
    candidates = [here / session] if session else []
    for file in [*candidates, *sorted(here.glob("*.ipynb"))]:
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))["metadata"]["lesson"]
            if facts["id"] == identity and facts["lang"] in LANGUAGES:
                return facts["lang"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    folders = zip(here.parts, here.parts[1:], strict=False)
    return next((code for phase, code in folders if phase.startswith("phase-") and code in LANGUAGES), None)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the open lesson and the language back afterwards: for a program that runs a notebook's cells."""
    global _open
    before, code, variable = _open, language(), os.environ.get("MINIGPT_LANG")
    try:
        yield
    finally:
        _open = before
        use_language(code)
        if variable is None:
            os.environ.pop("MINIGPT_LANG", None)
        else:
            os.environ["MINIGPT_LANG"] = variable


def _current() -> Lesson:
    if _open is None:
        raise CourseError("lesson.not-open")
    return _open


def _namespace() -> dict:
    """The notebook's own names; an empty throw-away where there is no notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.user_ns if shell else {}
