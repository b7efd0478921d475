"""Right answers in unusual styles keep their marks through the real command, in lessons of both phases.

`styles/<lesson>.txt` has three answers to each exercise: other algorithms, float64, NumPy, torch from end to
end, recursion, generators, objects, iterators; numbers come back as Python's, NumPy's or torch's.
"""

import json
import re
from pathlib import Path

import nbformat
import pytest
from test_grade_honest import course

from course.grade.sandbox import strongest
from course.lesson import find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
STYLES = {file.stem: file for file in sorted((Path(__file__).parent / "styles").glob("*.txt"))}


def answers(file: Path) -> list[dict[str, str]]:
    """Three submissions: by exercise, the code."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^# %% ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        exercise, _, code = part.partition("\n")
        found.setdefault(exercise, []).append(code.strip() + "\n")
    return [{exercise: codes[n] for exercise, codes in found.items()} for n in range(3)]


def test_right_answers_in_unusual_styles_keep_their_marks(tmp_path):
    for name, file in STYLES.items():
        lesson = find_lesson(name)
        for number, code in enumerate(answers(file)):
            assert code.keys() == {check.exercise for check in lesson.checks.values()}
            notebook = nbformat.read(lesson.built("en"), as_version=4)
            for cell in notebook.cells:
                cell.source = code.get(cell.id, cell.source)
            place = tmp_path / "submitted" / f"style-{number}" / lesson.assignment / f"{lesson.slug}.ipynb"
            place.parent.mkdir(parents=True)
            nbformat.write(notebook, place)
    course(tmp_path, "grade", *STYLES)
    lost = {}
    for file in (tmp_path / "autograded" / ".results").rglob("style-*.json"):
        checks = json.loads(file.read_text("utf-8"))["checks"]
        lost[str(file)] = {name: v["text"] for name, v in checks.items() if not v["passed"]}
    assert len(lost) == 3 * len(STYLES) and not any(lost.values()), lost
