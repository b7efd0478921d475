"""The capstone through the real command: charts that somebody wrote, about their own patients."""

import copy
import json

import pytest
from nbgrader.api import Gradebook
from test_grade_honest import course

from course.build import nbgrader_config
from course.grade.delivery import Student
from course.grade.names import is_name_of
from course.grade.sandbox import strongest
from course.lesson import find_lesson
from course.written import NotWrittenOut, written_out

ASSIGNMENT, SLUG = "18-08-blind-patients", "blind-patients.ipynb"
PARTS = '"evidence": [p.walk().end.question, 1], "parts": sorted(sick_parts(p)), "settings": {}'
COMPUTED = """from course.grade.ward import leaves, sick_parts
p = ward(MY_NAME)["{letter}"]
patient_{small} = {{"name": MY_NAME, "leaves": sorted(leaves(p)), {parts}}}"""


@pytest.mark.parametrize(
    "typed, student",
    [
        ("Ana García Núñez", Student("u1", "Ana", "García Núñez")),
        ("GARCIA NUÑEZ, ana", Student("u1", "Ana", "García Núñez")),
        ("Ana García", Student("Ana-García")),
        ("Ana Garcia", Student("Ana-García-4711")),
        ("Ana García", Student("garciaana")),
        ("u77", Student("u77", "Ana", "García")),
    ],
)
def test_a_name_is_the_student_s_however_it_is_typed(typed, student):
    assert is_name_of(typed, student)


@pytest.mark.parametrize("typed", ["Eva García", "Ana", "García", "", "?", "Ana García Ruiz", "u7"])
def test_another_name_is_not(typed):
    assert not is_name_of(typed, Student("u77", "Ana", "García"))


def test_the_class_list_leaves_no_choice_of_a_ward():
    for typed in ("Garci Aana", "G arciaana", "ana garciaa"):
        assert not is_name_of(typed, Student("garciaana", "Ana", "García"))
    assert is_name_of("Ana García", Student("garciaana", "Ana", "García"))


def test_what_is_computed_is_not_written_out():
    code = [("a", 'ME = "Ada"\nblank = {"name": ME, "leaves": []}'), ("b", 'x = {**blank, "leaves": ["y"]}')]
    assert written_out(code, "x") == {"name": "Ada", "leaves": ["y"]}
    grows = "a = [1, 2]\n" + "".join(f"a = [a, a]  # {n}\n" for n in range(99))
    for source in ("x = sorted(y)", "x = blank.leaves()", "x = 2 ** 9", "for x in []: pass", grows + "x = a"):
        with pytest.raises(NotWrittenOut):
            written_out([*code[:1], ("b", source)], "x")


@pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
def test_only_written_charts_of_one_s_own_ward_get_points(tmp_path):
    lesson = find_lesson("18-08")
    solved = json.loads(lesson.built("solutions").read_text(encoding="utf-8"))
    blank = json.loads(lesson.built("en").read_text(encoding="utf-8"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solved["cells"]}
    charts = [f"patient-{letter}" for letter in "abcdef"]
    written = copy.deepcopy(blank)
    for cell in written["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = answers[cell["id"]]
    computed = copy.deepcopy(written)
    for cell in computed["cells"]:
        if cell["id"] in charts:
            letter = cell["id"][-1]
            cell["source"] = COMPUTED.format(letter=letter.upper(), small=letter, parts=PARTS)
    nbgrader_config()  # a new gradebook needs nbgrader's own programs on the path
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "break-and-fix") as book:
        book.add_student("u1", first_name="Emmy", last_name="Noether")
    for student, notebook in {"u1": written, "ada-lovelace": written, "Emmy-Noether": computed}.items():
        folder = tmp_path / "submitted" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        (folder / SLUG).write_text(json.dumps(notebook), encoding="utf-8")
    told = course(tmp_path, "grade", "18-08", "--workers", "2")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        marks = {entry.student.id: entry.score for entry in book.assignment_submissions(ASSIGNMENT)}
        held = book.find_submission_notebook("blind-patients", ASSIGNMENT, "ada-lovelace")
        assert {g.name for g in held.grades if g.needs_manual_grade} >= {f"{name}_leaf" for name in charts}
    assert marks == {"u1": 31, "ada-lovelace": 0, "Emmy-Noether": 1}
    assert "The notebook says “emmy noether”, but this submission is from “ada-lovelace”" in told
    page = (tmp_path / "feedback" / "Emmy-Noether" / ASSIGNMENT / SLUG).with_suffix(".html")
    assert "must be written out" in " ".join(page.read_text(encoding="utf-8").split())
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "break-and-fix") as book:
        book.update_or_create_student("ada-lovelace", first_name="Emmy", last_name="Noether")
    assert "graded now: 1" in course(tmp_path, "grade", "18-08", "--workers", "2")
