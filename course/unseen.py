"""What grading will not see of an answer that passed here, and why one that fails is not there at all.

Grading runs the notebook's cells again, in another place: `remark` says beside a ✓ what it would lack, and
`refusal` says that a cell is not Python, where a check could only say that its answer is not written yet.
Both read the cells as they were run in this session.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from course.cells import OWN, Program, statements, syntax_error, syntax_values
from course.check import Check, Wrong
from course.messages import message
from course.written import NotWrittenOut, written_out

ANSWER = "answer"


def refusal(check: Check, ran: list[str]) -> Wrong | None:
    """Why the answer is not there, or not in the form in which grading reads it."""
    error = _syntax_error(check.answer, ran)
    if error:
        return Wrong("check.syntax-error", values={"name": check.answer} | error)
    return None


def computed(check: Check, ran: list[str]) -> Wrong | None:
    """Why a value that is to be written out does not count: it is computed."""
    if not check.written_out or not ran:
        return None
    try:
        written_out(_code(check.answer, ran), check.answer)
    except NotWrittenOut as found:
        return Wrong("check.not-written-out", values={"name": check.answer, "line": str(found)})
    return None


def remark(check: Check, ran: list[str]) -> str | None:
    """What to say beside a ✓; None where grading sees all of it."""
    if not ran:
        return None
    error = _syntax_error(check.answer, ran)
    if error:
        return message("check.unsaved", **error)
    code = _code(check.answer, ran)
    program = Program(code, {ANSWER: {check.answer}})
    made = {name for _, source in code for part in statements(source) for name in part.makes}
    missing = set() if "*" in made else program.unseen(ANSWER) - made
    missing |= {file for _, source in program.cells(ANSWER) for file in _files(source)}
    return message("check.unseen", names=", ".join(sorted(missing))) if missing else None


def cells_run(shell: object) -> list[str]:
    """The cells of this session as they were typed, in order."""
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", None)
    return [text for text in history or [] if isinstance(text, str) and text.strip()]


def _code(name: str, ran: list[str]) -> list[tuple[str, str]]:
    newest = max((n for n, source in enumerate(ran) if _defines(source, name)), default=-1)
    return [(ANSWER if n == newest else f"{OWN}{n}", source) for n, source in enumerate(ran)]


def _defines(source: str, name: str) -> bool:
    return bool(re.search(rf"^[ \t]*(?:(?:async +)?def|class) +{name}\b|^{name} *[:=]", source, re.MULTILINE))


def _syntax_error(name: str, ran: list[str]) -> dict | None:
    """What is wrong with the newest cell that defines the name, if it is not Python."""
    for source in reversed(ran):
        if _defines(source, name):
            error = syntax_error(source)
            return syntax_values(error, source) if error else None
    return None


def _files(source: str) -> set[str]:
    """The learner's own files that a program imports: they are not handed in."""
    here, found = Path.cwd().resolve(), set()
    for part in statements(source):
        for name in part.makes if part.defines else ():
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            if file and Path(file).resolve().is_relative_to(here) and "site-packages" not in file:
                found.add(Path(file).name)
    return found
