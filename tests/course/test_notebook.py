"""What a learner meets in the kernel: green lines, errors that explain themselves, the right language."""

import json
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import v4

from course import notebook
from course.messages import CourseError

CELLS = {
    "open": "from course.notebook import check, lesson, t\nimport sys, torch\n"
    'lesson("18-90")\nt("vocabulary-size")',
    "missing": 'check("expected-loss/value", expected_loss)',
    "right": "import math\ndef expected_loss(vocab_size):\n"
    '    print("hello", file=sys.stderr)\n    return math.log(vocab_size)\n'
    'check("expected-loss/value", expected_loss)',
    "raises": "def expected_loss(vocab_size):\n    return undefined\n"
    'check("expected-loss/value", expected_loss)',
    "wrong": 'def expected_loss(n):\n    return math.log2(n)\ncheck("expected-loss/value", expected_loss)',
    "unknown": 'check("expected-loss/valeu", expected_loss)',
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of CELLS by name, run in a kernel beside a Spanish release."""
    folder = tmp_path_factory.mktemp("session")
    book = v4.new_notebook(metadata={"lesson": {"id": "18-90", "lang": "es"}})
    book.cells = [v4.new_code_cell(source, id=name) for name, source in CELLS.items()]
    (folder / "my-copy.ipynb").write_text(json.dumps(book))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_LESSONS", str(Path(__file__).parent / "fixtures" / "lessons"))
        patch.setenv("MINIGPT_LANG", "en")
        client = NotebookClient(
            book, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return {cell.id: cell.outputs for cell in book.cells}


def test_labels_speak_the_language_of_the_notebook(outputs):
    assert outputs["open"][-1].data["text/plain"] == "'tamaño del vocabulario'"


def test_an_answer_whose_cell_was_never_run_is_not_written_yet(outputs):
    (error,) = outputs["missing"]
    assert error.output_type == "error" and "«expected_loss» todavía no está escrito" in error.evalue


def test_a_right_answer_gets_one_green_line_and_no_stderr(outputs):
    text = "".join(output.text for output in outputs["right"])
    assert {output.name for output in outputs["right"]} == {"stdout"}
    assert text.startswith("hello") and "\x1b[32m✓ valor del loss\x1b[0m" in text


def test_an_error_of_the_answer_is_told_with_its_line(outputs):
    assert "línea 2, `return undefined`" in " ".join(outputs["raises"][-1].evalue.split())


def test_a_failure_is_a_short_message_without_traceback(outputs):
    (error,) = outputs["wrong"]
    assert error.ename == "CheckFailed"
    shown = "\n".join(error.traceback)
    assert "Traceback" not in shown and "File" not in shown and len(error.traceback) <= 8
    assert max(map(len, shown.splitlines())) <= 87, "nbgrader's Validate cuts longer lines"
    assert "has medido en bits" in " ".join(shown.split()) and "se esperaba: 6.238" in shown


def test_an_unknown_check_suggests_the_nearest(outputs):
    (error,) = outputs["unknown"]
    assert "expected-loss/value" in error.evalue and error.traceback == [error.evalue]


def test_without_a_lesson_a_check_says_what_to_run(monkeypatch):
    monkeypatch.setattr(notebook, "_open", None)
    with pytest.raises(CourseError, match="first code cell"):
        notebook.check("a/b", None)


def write(folder, name, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"metadata": {"lesson": facts}}))


def test_the_language_comes_from_the_notebook_then_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    folder = tmp_path / "phase-18" / "en" / "x"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert notebook.notebook_language("18-01") == "en"
    write(folder, "other.ipynb", id="18-02", lang="es")
    (folder / "broken.ipynb").write_text("{")
    assert notebook.notebook_language("18-01") == "en"
    write(folder, "mine.ipynb", id="18-01", lang="es")
    assert notebook.notebook_language("18-01") == "es"
    write(folder, "open.ipynb", id="18-01", lang="en")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "open.ipynb"))
    assert notebook.notebook_language("18-01") == "en"
    monkeypatch.delenv("JPY_SESSION_NAME")
    monkeypatch.chdir(tmp_path)
    assert notebook.notebook_language("18-01") is None
