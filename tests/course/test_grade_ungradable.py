"""A lesson whose own solution fails a check is named by the command, and the others are graded."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from honest_variants import FULL, notebooks
from nbgrader.api import Gradebook

from course.grade.sandbox import strongest
from course.lesson import ROOT, find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
SPOIL = """

def _never(self, case, output):
    return wrong("not-a-verdict")


_FirstGradient.judge = _never
"""


def test_a_lesson_that_cannot_be_graded_is_told_and_the_others_are_graded(tmp_path):
    copy, room = tmp_path / "copy", tmp_path / "class"
    left_out = shutil.ignore_patterns("__pycache__", "experiments")
    for name in ("course", "minigpt", "phase-18", "solutions/phase-18"):
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    spoiled, sound = find_lesson("18-00"), find_lesson("18-01")
    file = copy / spoiled.folder.relative_to(ROOT) / "checks" / "first_gradient.py"
    file.write_text(file.read_text(encoding="utf-8") + SPOIL, encoding="utf-8")
    ask = "from course.lesson import find_lesson; print(find_lesson('18-00').revision)"
    revision = python(copy, copy, "-c", ask).stdout.strip()
    assert revision != spoiled.revision
    for release in copy.rglob("*.ipynb"):  # as if the lesson had been built so
        text = release.read_text(encoding="utf-8")
        release.write_text(text.replace(spoiled.revision, revision), encoding="utf-8")

    mine, _ = notebooks()
    solved = json.loads(spoiled.built("solutions").read_text(encoding="utf-8"))
    for lesson, work in ((spoiled, solved), (sound, mine)):
        folder = room / "submitted" / "ana" / lesson.assignment
        folder.mkdir(parents=True)
        (folder / f"{lesson.slug}.ipynb").write_text(json.dumps(work), encoding="utf-8")

    done = python(copy, room, "-m", "course.cli", "grade", spoiled.id, sound.id)
    assert done.returncode == 1
    assert "reference solution does not pass check first-gradient" in " ".join(done.stderr.split())
    with Gradebook(f"sqlite:///{room / 'gradebook.db'}") as book:
        (entry,) = book.assignment_submissions(sound.assignment)
        assert (entry.student.id, entry.score) == ("ana", FULL)


def python(copy, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy), "MINIGPT_LANG": "en"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
