"""The instructor's guide, command by command, on a class of six: from the class list to the CSV."""

import copy
import csv
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile

import pytest
from nbgrader.api import Gradebook
from test_grade_honest import ASSIGNMENT, SLUG, course, notebooks

from course.grade.judge import seed_of
from course.grade.sandbox import strongest
from course.grade.secret import NAME
from course.lesson import ROOT, find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
ROSTER = """id,first_name,last_name,email,lms_user_id
u1,Ana,García,ana@example.org,101
u2,José,Niño,,102
u3,Jose,Nino,,103
u4,Eva,Roca,,104
u5,Leo,Paz,,105
u6,Zoë,Ünal,,106
"""
MOODLE = {
    "Ana García_11_assignsubmission_file_/did-it-start.ipynb": "right",
    "José Niño_12_assignsubmission_file_/did-it-start.ipynb": "right",
    "Jose Nino_13_assignsubmission_file_/did-it-start-Copy1.ipynb": "wrong",
}
CANVAS = {
    "rocaeva_104_9001_did-it-start.ipynb": "right",
    "pazleo_LATE_105_9002_did-it-start-1.ipynb": "blank",
    "unalzoe_106_9003_did-it-start.ipynb": "damaged",
    "stranger_999_9004_did-it-start.ipynb": "right",
}


@pytest.fixture(scope="module")
def work():
    """What the six hand in, by kind."""
    mine, blank = notebooks()
    wrong = copy.deepcopy(mine)
    cell = next(cell for cell in wrong["cells"] if cell["id"] == "masked-mean")
    cell["source"] = "def masked_mean(losses, mask):\n    return losses.mean()"
    changed = copy.deepcopy(mine)
    cell = next(cell for cell in changed["cells"] if cell["id"] == "explain-to-a-colleague")
    cell["source"] = "I changed my mind."
    made = {"right": mine, "wrong": wrong, "blank": blank, "changed": changed}
    return {name: json.dumps(notebook).encode() for name, notebook in made.items()} | {
        "damaged": b'{"cells": ['
    }


def test_the_guide_from_the_class_list_to_the_marks(tmp_path, work):
    shutil.copy(ROOT / "course" / "nbgrader_config.py", tmp_path)
    (tmp_path / "students.csv").write_text(ROSTER, encoding="utf-8")
    command = [sys.executable, "-m", "nbgrader", "db", "student", "import", "students.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, files in (("moodle.zip", MOODLE), ("canvas.zip", CANVAS)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, kind in files.items():
                archive.writestr(file, work[kind])
    first = course(tmp_path, "grade", "18-01", "--from", "moodle.zip")
    second = course(tmp_path, "grade", "18-01", "--from", "canvas.zip")
    assert "graded now: 3" in first and "graded now: 3" in second
    assert "u5: the LMS marked this submission as late" in second and "stranger" in second
    assert points(tmp_path) == {"u1": 19, "u2": 19, "u3": 14, "u4": 19, "u5": 0, "u6": 0}
    require_secret_cases(tmp_path)

    give(tmp_path, "u1", 3.0)
    again = course(tmp_path, "grade", "18-01")
    assert "graded now: 0" in again
    page = (tmp_path / "feedback" / "u1" / ASSIGNMENT / SLUG).with_suffix(".html")
    assert "(Score: 22.0 / 22.0)" in page.read_text(encoding="utf-8")

    for student, kind in {"u6": "right", "u1": "changed"}.items():
        (tmp_path / "late" / student).mkdir(parents=True)
        (tmp_path / "late" / student / SLUG).write_bytes(work[kind])
    (tmp_path / "submitted" / "u3" / ASSIGNMENT / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    told = course(tmp_path, "grade", "18-01", "--from", "late")
    assert "graded now: 3" in told and "is now in" in told
    assert "“explain-to-a-colleague” changed after it was graded by hand" in told
    rows = list(csv.DictReader(io.StringIO(course(tmp_path, "export", "18-01"))))
    assert [(row["student"], row["last_name"], row["lms_user_id"], row["score"]) for row in rows] == [
        ("u1", "García", "101", "22.0"),
        ("u2", "Niño", "102", "19.0"),
        ("u3", "Nino", "103", "14.0"),
        ("u4", "Roca", "104", "19.0"),
        ("u5", "Paz", "105", "0.0"),
        ("u6", "Ünal", "106", "19.0"),
    ]
    assert [row["needs_manual_grade"] for row in rows] == ["1", "1", "1", "1", "0", "1"]
    assert (rows[0]["first_name"], rows[0]["email"]) == ("Ana", "ana@example.org")
    assert [row["handed_in_utc"] for row in rows] == ["", "", "2026-11-20 10:00:00", "", "", ""]


def require_secret_cases(root):
    """See that everybody's cases were drawn from a secret of this course that its owner alone can read."""
    file = root / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret, lesson = bytes.fromhex(file.read_text()), find_lesson("18-01")
    for student in ("u1", "u2", "u3", "u4"):
        result = json.loads((root / "autograded" / ".results" / ASSIGNMENT / f"{student}.json").read_text())
        assert result["seed"] == seed_of(secret, ASSIGNMENT, student, lesson.revision)


def points(root):
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        return {entry.student.id: entry.score for entry in book.assignment_submissions(ASSIGNMENT)}


def give(root, student, score):
    """Grade the written answer, as formgrader does."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        notebook = book.find_submission_notebook("did-it-start", ASSIGNMENT, student)
        grade = next(grade for grade in notebook.grades if grade.name == "explain-to-a-colleague")
        grade.manual_score, grade.needs_manual_grade = score, False
        book.db.commit()
