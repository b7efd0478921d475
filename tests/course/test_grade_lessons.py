"""Every lesson can be graded as a user grades it: the command, in a clean environment, whatever the threads.

The solution gets full marks, the untouched release none, and a wrong answer loses the checks that it should.
"""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from course.grade.sandbox import strongest
from course.lesson import ROOT, all_lessons, find_lesson
from course.mutants import Mutant, load_answers

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

COMPUTING = ("18-01", "18-05", "18-07")  # what they draw, drop and sum would show a number of threads
# The folder says whose work it is, and the capstone's solution is Emmy Noether's; the order of names is free.
RIGHT, WRONG = "emmy-noether", "noether-emmy"
STUDENTS = {RIGHT: "solutions", "untouched": "es", WRONG: "solutions"}


def wrong_answer(lesson):
    """An answer of the lesson's `mutants/` that its checks refuse."""
    return next(answer for answer in load_answers(lesson.folder / "mutants") if isinstance(answer, Mutant))


def hand_in(root, lesson):
    """Three submissions: the solution, the untouched release, and the solution with one wrong answer."""
    answer = wrong_answer(lesson)
    for student, kind in STUDENTS.items():
        notebook = nbformat.read(lesson.built(kind), as_version=4)
        for cell in notebook.cells:
            if student == WRONG and cell.id == answer.exercise:
                cell.source = answer.code
        file = root / "submitted" / student / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)


@pytest.mark.parametrize("threads", [None, "1", "2"], ids=["clean", "one-thread", "two-threads"])
def test_the_command_grades_every_lesson_whatever_the_environment(threads, tmp_path):
    lessons = all_lessons() if threads is None else [find_lesson(name) for name in COMPUTING]
    for lesson in lessons:
        hand_in(tmp_path, lesson)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"OMP_NUM_THREADS": threads} if threads else {})
    command = [sys.executable, "-m", "course.cli", "grade", *(lesson.id for lesson in lessons)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for lesson in lessons:
        folder = tmp_path / "autograded" / ".results" / lesson.assignment
        found = {}
        for student in STUDENTS:
            checks = json.loads((folder / f"{student}.json").read_text(encoding="utf-8"))["checks"]
            found[student] = {name: v["key"] for name, v in checks.items() if not v["passed"]}
        assert found[RIGHT] == {}, lesson.id
        assert set(found["untouched"]) == set(lesson.checks)
        # and those of exercises that build on the wrong answer
        assert found[WRONG].keys() >= wrong_answer(lesson).fails.keys(), lesson.id
        own = [name for name in lesson.checks if name.startswith(f"{wrong_answer(lesson).exercise}/")]
        assert {name for name in own if name in found[WRONG]} == wrong_answer(lesson).fails.keys()
