"""Every lesson can be graded as a user grades it: the command, in a clean environment, whatever the threads.

The solution passes every check (the command would grade nobody otherwise), the untouched release none, and a
wrong answer beside right ones loses the checks that it should, and no other but of answers that call it. A
lesson that cannot be graded ends no other.
"""

import json
import os
import re
import shutil
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
WITH_THE_SOLUTION = (*COMPUTING, "18-08")  # elsewhere it is what the wrong answer stands in


def students(lesson):
    return [name for name in STUDENTS if name != RIGHT or lesson.id in WITH_THE_SOLUTION]


def wrong_answer(lesson):
    """An answer of the lesson's `mutants/` that its checks refuse."""
    return next(answer for answer in load_answers(lesson.folder / "mutants") if isinstance(answer, Mutant))


def hand_in(root, lesson):
    """The untouched release, the solution with one wrong answer, and perhaps the solution."""
    answer = wrong_answer(lesson)
    for student in students(lesson):
        notebook = nbformat.read(lesson.built(STUDENTS[student]), as_version=4)
        for cell in notebook.cells:
            if student == WRONG and cell.id == answer.exercise:
                cell.source = answer.code
        file = root / "submitted" / student / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)


def callers(lesson, exercise):
    """The exercise and those whose solutions name its answer, or that of one that does."""
    answers = {check.exercise: check.answer for check in lesson.checks.values()}
    cells = nbformat.read(lesson.built("solutions"), as_version=4).cells
    code = {cell.id: cell.source for cell in cells if cell.id in answers}
    found, more = set(), {exercise}
    while more:
        found |= more
        names = "|".join(answers[name] for name in found)
        more = {name for name, source in code.items() if re.search(rf"\b({names})\b", source)} - found
    return found


def grade(root, lessons, **settings):
    """Run the command as a user does, and return what became of it."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-m", "course.cli", "grade", *(lesson.id for lesson in lessons)]
    return subprocess.run(
        command,
        cwd=root,
        env=environment | {"PYTHONPATH": str(ROOT)} | settings,
        capture_output=True,
        text=True,
    )


def require_fair(root, lesson):
    """See that everybody got what the answers deserve."""
    folder = root / "autograded" / ".results" / lesson.assignment
    found = {}
    for student in students(lesson):
        checks = json.loads((folder / f"{student}.json").read_text(encoding="utf-8"))["checks"]
        found[student] = {name: v["key"] for name, v in checks.items() if not v["passed"]}
    assert found.get(RIGHT, {}) == {}, lesson.id
    assert set(found["untouched"]) == set(lesson.checks)
    answer = wrong_answer(lesson)
    own = {name for name in found[WRONG] if name.startswith(f"{answer.exercise}/")}
    assert own == answer.fails.keys(), lesson.id
    if RIGHT not in found:
        assert {name.split("/")[0] for name in found[WRONG]} <= callers(lesson, answer.exercise)


@pytest.mark.parametrize("threads", [None, "1", "2"], ids=["clean", "one-thread", "two-threads"])
def test_the_command_grades_every_lesson_whatever_the_environment(threads, tmp_path):
    lessons = all_lessons() if threads is None else [find_lesson(name) for name in COMPUTING]
    for lesson in lessons:
        hand_in(tmp_path, lesson)
    done = grade(tmp_path, lessons, **({"OMP_NUM_THREADS": threads} if threads else {}))
    assert done.returncode == 0, done.stderr[-2000:]
    for lesson in lessons:
        require_fair(tmp_path, lesson)


def test_a_lesson_that_cannot_be_graded_ends_no_other(tmp_path):
    broken, healthy = find_lesson("18-02"), find_lesson("18-09")
    for lesson in (broken, healthy):
        hand_in(tmp_path, lesson)
    lessons = shutil.copytree(broken.folder.parent.parent, tmp_path / "lessons")
    with open(lessons / broken.folder.relative_to(broken.folder.parent.parent) / "lesson.py", "a") as file:
        file.write("# changed since the notebooks were built\n")
    done = grade(tmp_path, [broken, healthy], COURSE_LESSONS=str(lessons))
    assert done.returncode == 1
    assert f"{broken.assignment}: not graded. " in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "autograded" / ".results" / broken.assignment).exists()
    require_fair(tmp_path, healthy)
