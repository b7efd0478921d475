"""Which checks a learner has passed: one line each in `.progress.jsonl`, at the root of the course.

    record("18-01", "expected-loss/course")     # True if it is news
    passed()["18-01"]                           # {"expected-loss/course", …}
    standing(lesson)                            # Standing(passed=14, checks=14, written=0, answers=1)

A written answer counts once it is no longer the stub, in the notebook of either language: Validate asks for
no more than that.

Only a release in its own folder is counted (`course.notebook.check` sees to that): not a solution that a
build executes, nor a submission that is graded. Delete the file to begin again; git ignores it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from course.lesson import ROOT, Lesson
from minigpt.messages import LANGUAGES

FILE = ".progress.jsonl"
STUB = "✎"  # what a written answer is in a release (course/nbgrader_config.py)
_CHECK = re.compile(r'check\("([^"]+)"')


@dataclass(frozen=True)
class Standing:
    """How far a learner is in a lesson: checks passed and answers written, each out of how many."""

    passed: int
    checks: int
    written: int
    answers: int

    @property
    def begun(self) -> bool:
        """Whether anything is passed or written."""
        return self.passed + self.written > 0

    @property
    def done(self) -> bool:
        """Whether Validate has nothing left to ask for."""
        return (self.passed, self.written) == (self.checks, self.answers)


def record(lesson: str, check: str, root: Path = ROOT) -> bool:
    """Write down that a check was passed; return whether it had not been before."""
    if check in passed(root)[lesson]:
        return False
    line = json.dumps({"lesson": lesson, "check": check}) + "\n"
    with open(root / FILE, "a", encoding="utf-8") as file:  # one write: two kernels cannot mix their lines
        file.write(line)
    return True


def passed(root: Path = ROOT) -> dict[str, set[str]]:
    """The names of the checks passed so far, by the lesson's id; what is not such a line is passed over."""
    found: dict[str, set[str]] = defaultdict(set)
    file = root / FILE
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    for line in lines:
        try:
            entry = json.loads(line)
            found[entry["lesson"]].add(entry["check"])
        except (ValueError, TypeError, KeyError):
            continue
    return found


def check_names(lesson: Lesson, root: Path = ROOT) -> list[str]:
    """The checks of the lesson's release, in its order; a learner's edition may have no source to ask."""
    release = json.loads(lesson.built(LANGUAGES[0], root).read_text(encoding="utf-8"))
    graded = [cell for cell in release["cells"] if cell["metadata"].get("nbgrader", {}).get("locked")]
    return [found[1] for cell in graded if (found := _CHECK.match("".join(cell["source"])))]


def answers(lesson: Lesson, root: Path = ROOT) -> dict[str, bool]:
    """Whether each answer that a person grades is written, by its id; an unreadable notebook has none."""
    found: dict[str, bool] = {}
    for code in LANGUAGES:
        try:
            cells = json.loads(lesson.built(code, root).read_text(encoding="utf-8"))["cells"]
            for cell in cells:
                known = cell["metadata"].get("nbgrader", {})
                if cell["cell_type"] == "markdown" and known.get("grade"):
                    text = "".join(cell["source"]).strip()
                    found[known["grade_id"]] = found.get(known["grade_id"], False) or text not in ("", STUB)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def standing(lesson: Lesson, root: Path = ROOT) -> Standing:
    """How far the learner is in a lesson."""
    names, written = check_names(lesson, root), answers(lesson, root)
    return Standing(
        len(passed(root)[lesson.id] & set(names)), len(names), sum(written.values()), len(written)
    )
