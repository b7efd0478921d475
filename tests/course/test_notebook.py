"""What a learner meets in the kernel: green lines, errors that explain themselves, the right language."""

import json
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import v4

from course import notebook, open_lesson
from course.kernel_errors import heading_above
from course.lesson import ROOT, load_lesson
from course.messages import WIDTH, CourseError, message
from minigpt.messages import LANGUAGES, language, use_language

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
    "endless": "import course.notebook\ncourse.notebook.CHECK_SECONDS = 1\ndef expected_loss(n):\n"
    "    while True:\n        try:\n            while True: pass\n        except Exception: pass\n"
    'check("expected-loss/value", expected_loss)',
    "not-python": "def init_weights(weight)\n    pass",
    "not-python-checked": 'check("init-weights/std", init_weights)',
    "out-of-a-file": "exec('def helper(n):\\n    return math.log(n)')",
    "unseen": "def expected_loss(n):\n    return helper(n)\ncheck('expected-loss/value', expected_loss)",
    "skipped": "def verify():\n    init_weights(torch.empty(2))\nverify()",
    "skipped-value": "float(init_weights)",
    "stub": "def init_weights(weight):\n    raise NotImplementedError",
    "stub-called": "init_weights(torch.empty(2))",
    "stub-alone": "raise NotImplementedError",
    "out-of-order": "print(vocabulary)",
    "slip": "print(vocabulario)",
    "not-ours": "torch.nn.Module()(1)",
    "course-error": "from minigpt.config import Config\nConfig(steps=-1)",
    "old-name": "from course.notebook import something_new",
    "old-lesson": 'lesson("18-99")',
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


def test_a_cell_that_is_not_python_is_called_that_and_not_unwritten(outputs):
    text = " ".join(outputs["not-python-checked"][-1].evalue.split())
    assert "no es Python válido. Línea 1, `def init_weights(weight)`" in text
    assert "todavía no está escrito" not in text


def test_a_green_line_says_what_grading_will_not_see(outputs):
    text = " ".join("".join(output.text for output in outputs["unseen"]).split())
    assert "✓ valor del loss" in text and "al calificar no se encontrará algo que usa: helper" in text


def test_an_unknown_check_suggests_the_nearest(outputs):
    (error,) = outputs["unknown"]
    assert "expected-loss/value" in error.evalue and told(outputs, "unknown") == error.evalue


def test_without_a_lesson_a_check_says_what_to_run():
    with pytest.raises(CourseError, match="first code cell"):
        notebook.check("a/b", None)


def told(outputs, name):
    """The one sentence that the cell's error shows, in lines that fit."""
    *_, error = outputs[name]
    shown = "\n".join(error.traceback)
    assert max(map(len, shown.splitlines())) <= WIDTH and "\x1b" not in shown
    return " ".join(shown.split())


@pytest.mark.parametrize("name", ["skipped", "skipped-value", "stub-called"])
def test_an_exercise_that_was_skipped_is_named_with_its_place(outputs, name):
    assert told(outputs, name).startswith("«init_weights» todavía no está escrito: es parte de «18-90 · ")


@pytest.mark.parametrize(
    ("code", "name", "heading", "setup"),
    [
        ("en", "init_weights", "Exercise 2 · An initialisation by role", False),
        ("es", "masked_mean", "Ejercicio 3 · Una media sobre lo que cuenta", False),
        ("es", "healthy", "3 · Rómpelo", False),
        ("en", "walk_section_1", "18-01 · Did it start?", True),
    ],
)
def test_a_name_is_found_under_its_heading(code, name, heading, setup):
    use_language(code)
    first = load_lesson(ROOT / "course/lessons/phase-18/01-did-it-start")
    assert heading_above(first, name) == (heading, setup)
    assert heading_above(first, "residual_std") is None, "a name inside a function is not the notebook's"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stub-alone", "en lugar de raise NotImplementedError"),
        ("out-of-order", "«vocabulary» todavía no existe: lo crea una celda de «18-90"),
        ("course-error", "steps es -1"),
        ("old-name", "(cannot import name 'something_new' from 'course.notebook')"),
        ("old-lesson", "no tiene la lección «18-99»"),
    ],
)
def test_what_a_learner_can_mend_is_one_sentence(outputs, name, words):
    assert words in told(outputs, name)


@pytest.mark.parametrize(("name", "kind"), [("slip", "NameError"), ("not-ours", "NotImplementedError")])
def test_every_other_error_keeps_its_traceback(outputs, name, kind):
    (error,) = outputs[name]
    assert error.ename == kind and len(error.traceback) > 1


def test_an_answer_that_never_ends_is_stopped(outputs):
    (error,) = outputs["endless"]
    assert error.ename == "CheckFailed" and "¿Termina alguna vez su bucle?" in " ".join(error.evalue.split())


def test_before_the_first_cell_the_notebook_says_which_lesson_it_is(tmp_path, monkeypatch, lessons):
    write(tmp_path, "mine.ipynb", id="18-90", lang="es")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", "mine.ipynb")
    assert open_lesson.lesson_here().id == "18-90" and language() == "es"
    monkeypatch.setenv("JPY_SESSION_NAME", "other.ipynb")
    assert open_lesson.lesson_here() is None


@pytest.mark.parametrize("code", LANGUAGES)
def test_another_version_and_another_folder_are_told(tmp_path, monkeypatch, lessons, capsys, code):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", "mine.ipynb")
    write(tmp_path, "mine.ipynb", id="18-90", lang=code, revision="an older one")
    with notebook.undisturbed():
        notebook.lesson("18-90")
    expected = [message("lesson.other-revision", code), message("lesson.other-folder", code)]
    assert capsys.readouterr().out.splitlines() == expected


def write(folder, name, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"metadata": {"lesson": facts}}))


def test_the_language_comes_from_the_notebook_then_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    folder = tmp_path / "phase-18" / "en" / "x"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert open_lesson.notebook_language("18-01") == "en"
    write(folder, "other.ipynb", id="18-02", lang="es")
    (folder / "broken.ipynb").write_text("{")
    assert open_lesson.notebook_language("18-01") == "en"
    write(folder, "mine.ipynb", id="18-01", lang="es")
    assert open_lesson.notebook_language("18-01") == "es"
    write(folder, "open.ipynb", id="18-01", lang="en")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "open.ipynb"))
    assert open_lesson.notebook_language("18-01") == "en"
    monkeypatch.delenv("JPY_SESSION_NAME")
    monkeypatch.chdir(tmp_path)
    assert open_lesson.notebook_language("18-01") is None
