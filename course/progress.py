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
from minigpt.messages import LANGUAGES

FILE = ".progress.jsonl"
_CHECK = re.compile(r'check\("([^"]+)"')


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
