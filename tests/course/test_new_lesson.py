"""A new lesson written from the guide's own text: its examples, put into a folder, are built and graded."""

import os
import re
import subprocess
import sys

import nbformat
import pytest

from course.build import build
from course.grade.classroom import grade_assignment
from course.grade.sandbox import strongest
from course.lesson import ROOT, find_lesson
from course.mutants import Mutant, load_answers

GUIDE = ROOT / "course" / "README.md"
FILES = {  # by heading, the file or files that its first examples are
    "lesson.yaml": ("lesson.yaml",),
    "lesson.py": ("lesson.py",),
    "checks/init_weights.py": ("checks/init_weights.py",),
    "messages.en.yaml and messages.es.yaml": ("messages.en.yaml", "messages.es.yaml"),
    "mutants/init_weights.py": ("mutants/init_weights.py",),
}


def write_what_the_guide_shows(folder):
    sections = re.split(r"^## ", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for section in sections:
        names = FILES.get(section.splitlines()[0], ())
        blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", section, re.DOTALL)
        for name, block in zip(names, blocks, strict=False):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block, encoding="utf-8")


def course(*words, **settings):
    command = [sys.executable, "-m", "course.cli", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
def test_the_examples_of_the_guide_are_a_lesson_that_is_built_checked_and_graded(tmp_path, monkeypatch):
    lessons = tmp_path / "lessons"
    folder = lessons / "phase-18" / "01-did-it-start"
    write_what_the_guide_shows(folder)
    course("build", "--stamp", "18-01", COURSE_LESSONS=str(lessons))
    assert "2 right and 4 wrong answers" in course("check", "18-01", COURSE_LESSONS=str(lessons))
    monkeypatch.setenv("COURSE_LESSONS", str(lessons))
    lesson = find_lesson("18-01")
    build(lesson, tmp_path)
    solution = nbformat.read(lesson.built("solutions", tmp_path), as_version=4)
    answers = {answer.name: answer for answer in load_answers(folder / "mutants")}
    for name, answer in {"solution": None, **answers}.items():
        for cell in solution.cells:
            if answer and cell.id == answer.exercise:
                cell.source = answer.code
        file = tmp_path / "class" / "submitted" / name / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(solution, file)
    report = grade_assignment(lesson, tmp_path / "class", built=tmp_path)
    points = {name: result["points"] for name, result in report.results.items()}
    right = {name for name, answer in answers.items() if not isinstance(answer, Mutant)}
    assert points == {name: 2.0 if name in right else 0.0 for name in answers} | {"solution": 2.0}
