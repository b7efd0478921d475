"""Which checks a learner has passed: one line each in `.progress.jsonl`, at the root of the course.

    record("18-01", "expected-loss/course")     # True if it is news
    passed()["18-01"]                           # {"expected-loss/course", …}

Only a release in its own folder is counted (`course.notebook.check` sees to that): not a solution that a
build executes, nor a submission that is graded. Delete the file to begin again; git ignores it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

from course.lesson import ROOT, Lesson

FILE = ".progress.jsonl"
_CHECK = re.compile(r'^# %% check="([^"]+)"', re.MULTILINE)


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


def check_names(lesson: Lesson) -> list[str]:
    """The lesson's checks in the order of its notebook, read without running any of its code."""
    return _CHECK.findall((lesson.folder / "lesson.py").read_text(encoding="utf-8"))
