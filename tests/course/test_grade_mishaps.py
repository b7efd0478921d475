"""Disks, gradebooks, releases and clocks that are not as they should be: a sentence each, nothing lost."""

import json
import os
import shutil
import signal
import sqlite3
import zipfile
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from nbgrader.api import Gradebook
from without_a_sandbox import Benchless, scores

from course.grade import command, gradebook, workshop
from course.grade.classroom import grade_assignment, needs_person
from course.grade.gradebook import Ledger
from course.grade.judge import grade as grade_one
from course.grade.normalise import HandedIn, normalise
from course.grade.pages import Pages
from course.grade.sandbox import strongest
from course.messages import CourseError
from course.plain import MAX_TEXT
from minigpt.messages import LANGUAGES, use_language

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")


def notes_of(result):
    return [key for key, _ in result["notes"]]


@pytest.fixture
def grade(small, built, monkeypatch):
    """`grade(root)` grades the small lesson without a sandbox, one submission after the other."""
    monkeypatch.setattr("course.grade.team.Bench", Benchless)
    return lambda root, lesson=small, built=built: grade_assignment(lesson, root, workers=1, built=built)


def test_a_gradebook_that_somebody_else_writes_to_is_named_and_the_work_is_kept(
    root, small, grade, monkeypatch
):
    monkeypatch.setattr(gradebook, "LOCK_SECONDS", 0.1)
    grade(root)
    shutil.copytree(root / "submitted" / "ana", root / "submitted" / "leo")
    other = sqlite3.connect(root / "gradebook.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CourseError, match="Somebody else is writing"):
        grade(root)
    other.execute("COMMIT")
    other.execute("BEGIN IMMEDIATE")  # formgrader with a change that it has not written yet: readers may read
    with pytest.raises(CourseError, match="Somebody else is writing"):
        grade(root)
    other.close()
    report = grade(root)
    assert report.graded == 0, "leo's result was kept; only the gradebook lacked it"
    assert scores(root, small) == {"ana": 3.0, "eva": 3.0, "leo": 3.0}


def test_a_gradebook_that_is_none_is_left_as_it_is(root, grade):
    (root / "gradebook.db").write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(CourseError, match="not a gradebook"):
        grade(root)
    assert (root / "gradebook.db").read_bytes().startswith(b"not a database")


def test_a_regrade_that_was_killed_before_the_gradebook_is_entered_by_the_next_run(
    root, small, grade, monkeypatch
):
    grade(root)
    file = root / "submitted" / "ana" / small.assignment / "small-model.ipynb"
    file.write_text(file.read_text() + " ")

    def killed(self, result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "write", killed)
        grade(root)
    feedback = root / "feedback" / "ana" / small.assignment / "small-model.html"
    feedback.write_text("of the first time")
    assert grade(root).graded == 0
    assert feedback.read_text() != "of the first time"


def test_missing_damaged_and_stale_releases_are_named(root, small, built, grade, tmp_path):
    copy = shutil.copytree(built, tmp_path / "built")
    file = small.built("es", copy)
    text = file.read_text()
    file.write_text(text.replace(small.revision, "0123456789ab"))
    with pytest.raises(CourseError, match="not made from the lesson’s files"):
        grade(root, built=copy)
    file.write_text(text[:500])
    with pytest.raises(CourseError, match="cannot be read"):
        grade(root, built=copy)
    file.unlink()
    with pytest.raises(CourseError, match="is missing. Run “course build” first."):
        grade(root, built=copy)
    assert not (root / "gradebook.db").exists()


def test_a_release_with_new_points_is_followed_and_one_with_other_cells_changes_nothing(
    root, small, built, grade, tmp_path
):
    grade(root)
    copy = shutil.copytree(built, tmp_path / "built")
    for code in LANGUAGES:
        notebook = nbformat.read(small.built(code, copy), as_version=4)
        next(cell for cell in notebook.cells if cell.id == "expected-loss_value").metadata.nbgrader.points = 7
        nbformat.write(notebook, small.built(code, copy))
    assert grade(root, built=copy).graded == 2
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        assert book.find_assignment(small.assignment).max_score == 12
    before = (root / "gradebook.db").read_bytes()
    for code in LANGUAGES:
        notebook = nbformat.read(small.built(code, copy), as_version=4)
        notebook.cells = [cell for cell in notebook.cells if cell.id != "init-weights_std"]
        nbformat.write(notebook, small.built(code, copy))
    with pytest.raises(CourseError, match="init-weights_std"):
        grade(root, built=copy)
    assert (root / "gradebook.db").read_bytes() == before


def test_a_submission_of_another_edition_is_graded_and_said_to_be(root, small, grade):
    file = root / "submitted" / "ana" / small.assignment / "small-model.ipynb"
    file.write_text(file.read_text().replace(small.revision, "0123456789ab"))
    assert notes_of(grade(root).results["ana"]) == ["grade.other-revision"]


@pytest.mark.parametrize(
    "text, note", [("tomorrow, perhaps", "grade.time-unreadable"), (None, "grade.time-future")]
)
def test_a_clock_that_is_wrong_is_said_and_not_recorded(root, small, grade, text, note):
    ahead = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    (root / "submitted" / "ana" / small.assignment / "timestamp.txt").write_text(text or ahead)
    (root / "submitted" / "eva" / small.assignment / "timestamp.txt").write_text("2020-02-02 10:00:00 UTC")
    assert notes_of(grade(root).results["ana"]) == [note]
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        assert book.find_submission(small.assignment, "ana").timestamp is None
        assert book.find_submission(small.assignment, "eva").timestamp == datetime(2020, 2, 2, 10)


def test_several_notebooks_and_none_of_the_right_name_get_a_result_that_says_so(root, small, grade):
    folder = root / "submitted" / "ana" / small.assignment
    shutil.copy(folder / "small-model.ipynb", folder / "a.ipynb")
    (folder / "small-model.ipynb").rename(folder / "b.ipynb")
    for name, answer in (("a.ipynb", "def expected_loss(v): ..."), ("b.ipynb", "expected_loss = math.log")):
        content = json.loads((folder / name).read_text())
        next(cell for cell in content["cells"] if cell["id"] == "expected-loss")["source"] = answer
        (folder / name).write_text(json.dumps(content))
    result = grade(root).results["ana"]
    assert result["problem"] is None and notes_of(result) == ["grade.one-of-several"]
    in_english = needs_person(result)
    use_language("es")  # that of who grades, whatever the submission's
    assert "Varios cuadernos" in needs_person(result)[0] and "Several notebooks" in in_english[0]
    use_language(None)


def test_a_name_that_is_not_utf_8_stops_nobody(root, small, grade):
    folder = root / "submitted" / "ana" / small.assignment
    (folder / "small-model.ipynb").rename(folder / "tarea\udcf1.ipynb")
    other = root / "submitted" / "eva" / small.assignment
    shutil.copy(other / "small-model.ipynb", other / "a\udcf1.ipynb")
    (other / "small-model.ipynb").rename(other / "b.ipynb")
    results = grade(root).results
    assert results["ana"]["notes"][-1] == ("grade.renamed", {"file": "tarea?.ipynb"})
    assert results["eva"]["problem"] is None


def test_a_student_s_folder_whose_name_is_not_utf_8_is_named_before_anything_is_graded(root, grade):
    (root / "submitted" / "eva").rename(root / "submitted" / "mu\udcf1oz")
    with pytest.raises(CourseError, match=r"submitted/mu\?oz is not UTF-8"):
        grade(root)


def test_what_macos_writes_beside_a_renamed_notebook_is_not_a_second_one(root, small, grade):
    folder = root / "submitted" / "ana" / small.assignment
    (folder / "small-model.ipynb").rename(folder / "mine.ipynb")
    (folder / "._mine.ipynb").write_bytes(b"\0")
    result = grade(root).results["ana"]
    assert result["problem"] is None and notes_of(result) == ["grade.renamed"]


@pytest.mark.parametrize("identity", [["a"], {"a": 1}])
def test_a_cell_whose_id_is_no_text_costs_nothing(small, built, tmp_path, identity):
    release = nbformat.read(small.built("en", built), as_version=4)
    content = json.loads(small.built("en", built).read_text())
    content["cells"].append({"cell_type": "code", "id": identity, "source": "x = 1", "metadata": {}})
    (tmp_path / "small-model.ipynb").write_text(json.dumps(content))
    notes = normalise(tmp_path / "small-model.ipynb", release).notes
    assert notes == []


def test_an_answer_longer_than_one_text_of_a_frame_is_graded(small, built):
    release = nbformat.read(small.built("en", built), as_version=4)
    source = "def expected_loss(vocab_size):\n    return math.log(vocab_size)\n" + "#" * (2 * MAX_TEXT)
    with workshop.Workshop(small, release) as bench:
        result = grade_one("ana", HandedIn(cells={"expected-loss": source}), release, bench)
    assert result["checks"]["expected-loss/value"]["passed"], result["checks"]


def test_nothing_that_a_learner_wrote_moves_the_teacher_s_cursor(root, small, grade, capsys):
    for name in ("ana", "eva"):
        file = root / "submitted" / name / small.assignment / "small-model.ipynb"
        content = json.loads(file.read_text())
        source = "\x1b[1A\x1b[2Kluis 10 / 10 ("
        content["cells"].append({"cell_type": "code", "id": "mine", "source": source, "metadata": {}})
        file.write_text(json.dumps(content))
    file.rename(file.with_name("\x1b[2Ka.ipynb"))
    command._print(small, grade(root))
    out = capsys.readouterr().out
    assert "?[1A?[2Kluis 10 / 10" in out and "?[2Ka.ipynb" in out and "\x1b" not in out


@pytest.mark.parametrize("kind, sentence", [("damaged", "not a gradebook"), ("locked", "Somebody else is")])
def test_export_names_a_gradebook_that_it_cannot_read(
    root, small, grade, monkeypatch, capsys, kind, sentence
):
    monkeypatch.setattr(gradebook, "LOCK_SECONDS", 0.1)
    monkeypatch.chdir(root)
    grade(root)
    if kind == "damaged":
        (root / "gradebook.db").write_bytes(b"not a database" * 100)
    other = sqlite3.connect(root / "gradebook.db", isolation_level=None)
    if kind == "locked":
        other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CourseError, match=sentence):
        command.run_export(None, [small])
    other.close()
    assert capsys.readouterr().out == ""


def test_a_zip_of_an_lms_is_laid_out_by_the_class_list_and_graded(root, small, built, tmp_path, monkeypatch):
    monkeypatch.setattr("course.grade.team.Bench", Benchless)
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        book.add_student("u1", first_name="Ana", last_name="García")
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.write(small.built("es", built), "Ana García_4711_assignsubmission_file_/my work.ipynb")
        archive.write(small.built("en", built), "stranger.ipynb")
    shutil.rmtree(root / "submitted")
    report = grade_assignment(small, root, workers=1, built=built, source=tmp_path / "class.zip")
    assert scores(root, small) == {"u1": 3.0} and report.delivery.students == ["u1"]
    assert "stranger" in report.delivery.notes[0]


@pytest.mark.parametrize(
    "content, problem",
    [
        (lambda stream: stream.truncate(2_000_000_000), "grade.too-large"),
        (lambda stream: stream.write(b'{"cells": ' + b"[" * 1_000_000), "grade.too-deep"),
        (lambda stream: stream.write(b'{"cells": ["' + b'\\"[' * 1_000_000), "grade.not-json"),
    ],
)
def test_two_gigabytes_and_deep_json_are_refused_unread(small, built, tmp_path, content, problem):
    with open(tmp_path / "small-model.ipynb", "wb") as stream:
        content(stream)
    release = nbformat.read(small.built("en", built), as_version=4)
    assert normalise(tmp_path / "small-model.ipynb", release).problem[0] == problem


def test_a_sandbox_that_dies_costs_nobody_points(small, built, root, monkeypatch):
    real = workshop.Workshop.ask

    def ask(self, cells, cases, patience=0.0):
        if "submitted" in str(cells):
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return real(self, cells, cases, patience)

    file = root / "submitted" / "ana" / small.assignment / "small-model.ipynb"
    notebook = nbformat.read(file, as_version=4)
    next(c for c in notebook.cells if c.id == "expected-loss").source = "def expected_loss(v): 'submitted'"
    nbformat.write(notebook, file)
    monkeypatch.setattr(workshop.Workshop, "ask", ask)
    report = grade_assignment(small, root, workers=1, built=built)  # started again, and asked again
    assert report.results["ana"]["checks"]["expected-loss/value"]["key"] == "check.returned-none"


@pytest.mark.parametrize("page", ["notebook", "feedback", "gradebook"])
def test_a_page_that_cannot_be_made_costs_that_page_alone_and_the_next_run_makes_it(
    root, small, grade, monkeypatch, page
):
    shutil.copytree(root / "submitted" / "eva", root / "submitted" / "leo")
    holder, name = (Ledger, "_scores") if page == "gradebook" else (Pages, page)
    real = getattr(holder, name)

    def fails_for_eva(self, *arguments):
        if any("eva" in str(argument.get("student")) for argument in arguments if isinstance(argument, dict)):
            raise ValueError("a picture")
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, fails_for_eva)
        report = grade(root)
    assert [bool(report.mishaps[student]) for student in ("ana", "eva", "leo")] == [False, True, False]
    assert "a picture" in needs_person(report.results["eva"], report.mishaps["eva"])[0]
    feedback = root / "feedback" / "eva" / small.assignment / "small-model.html"
    assert "✓" in feedback.read_text(encoding="utf-8"), "the verdicts are there all the same"
    again = grade(root)
    assert again.graded == 0 and again.mishaps == {"eva": []}
    assert "nbgrader_cell" in feedback.read_text(encoding="utf-8")
    assert scores(root, small) == {"ana": 3.0, "eva": 3.0, "leo": 3.0}


def test_a_written_answer_that_changed_after_it_was_graded_is_asked_for_again(root, small, grade):
    file = root / "submitted" / "ana" / small.assignment / "small-model.ipynb"

    def write(text):
        content = json.loads(file.read_text())
        next(cell for cell in content["cells"] if cell["id"] == "explain")["source"] = text
        file.write_text(json.dumps(content))
        return grade(root)

    def asked(points=None):
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
            found = book.find_submission_notebook("small-model", small.assignment, "ana")
            (cell,) = [cell for cell in found.grades if cell.name == "explain"]
            if points is not None:  # as formgrader does it
                cell.manual_score, cell.needs_manual_grade = points, False
                book.db.commit()
            return cell.needs_manual_grade, cell.manual_score

    write("The logits are too large.")
    assert asked() == (True, None)
    asked(points=2.0)
    assert grade(root).mishaps["ana"] == [] and asked() == (False, 2.0)
    report = write("I changed my mind.")
    assert asked() == (True, 2.0) and report.mishaps["ana"] == [("grade.answer-changed", {"cell": "explain"})]
    asked(points=1.0)
    grade(root)
    assert asked() == (False, 1.0)
