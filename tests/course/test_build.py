"""From source to notebooks: verified, deterministic, and never half written."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from course import build as building
from course.build import build, differences, make, orphans, to_text
from course.execute import clean, execute
from course.lesson import ROOT, find_lesson
from course.messages import CourseError
from course.source import read_source
from course.verify import require_no_leak, require_parity

INIT = "checks/init_weights.py"


def edit(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_built_notebooks_are_current_and_executed(small, built):
    assert differences(small, built) == []
    solution = nbformat.read(small.built("solutions", built), as_version=4)
    outputs = {cell.id: cell.outputs for cell in solution.cells if cell.cell_type == "code"}
    assert outputs["ln-v"][0].text == "6.2383\n"
    assert "image/png" in outputs["curve"][0].data
    assert "✓" in outputs["init-weights_std"][0].text


def test_nbval_runs_the_solution_and_compares_the_cells_that_are_marked(small, built, tmp_path):
    def nbval(root):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", str(root)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600).stdout

    assert "8 passed" in nbval(built / "solutions")
    spoilt = tmp_path / "spoilt.ipynb"
    text = small.built("solutions", built).read_text(encoding="utf-8").replace("6.2383", "6.2384")
    spoilt.write_text(text, encoding="utf-8")
    assert "1 failed, 7 passed" in nbval(spoilt)


def test_ctrl_c_stops_a_build_at_once():
    text = "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        execute(v4.new_notebook(cells=[v4.new_code_cell(text)]), "interrupted")


def test_sources_alone_decide_the_bytes_of_a_release(small):
    first, second = make(small)[1], make(small)[1]
    assert {code: to_text(book) for code, book in first.items()} == {
        code: to_text(book) for code, book in second.items()
    }


def test_a_release_has_stubs_placeholders_and_its_language(small):
    releases = make(small)[1]
    for code, release in releases.items():
        nbformat.validate(release)
        sources = {cell.id: cell.source for cell in release.cells}
        assert sources["expected-loss"] == "def expected_loss(vocab_size):\n    raise NotImplementedError"
        assert sources["explain"] == "✎"
        assert release.metadata["lesson"]["lang"] == code
    checksums = [
        [cell.metadata["nbgrader"]["checksum"] for cell in book.cells if "nbgrader" in cell.metadata]
        for book in releases.values()
    ]
    assert checksums[0] == checksums[1] and len(checksums[0]) == 6


def test_a_release_that_gives_something_away_is_refused(small):
    cells = read_source(small.folder / "lesson.py")
    solution, releases = make(small)
    by_id = {cell.id: cell for cell in releases["en"].cells}
    for cell, text, key in [
        ("why", "```\nreturn math.log(vocab_size)\n```", "build.leak-line"),
        ("curve", "    return math.log(vocab_size)", "build.leak-line"),
        ("why", cells[-1].texts["es"].splitlines()[0], "build.leak-line"),
        ("curve", "### BEGIN HIDDEN TESTS", "build.leak-marker"),
        ("curve", "### end somewhere", "build.leak-marker"),
    ]:
        kept, by_id[cell].source = by_id[cell].source, text
        with pytest.raises(CourseError) as caught:
            require_no_leak(releases["en"], cells, "it")
        assert (caught.value.key, caught.value.values["cell"]) == (key, cell)
        by_id[cell].source = kept
    by_id["curve"].execution_count = 3
    with pytest.raises(CourseError, match="output"):
        require_no_leak(releases["en"], cells, "it")
    with pytest.raises(CourseError):
        require_no_leak(solution, cells, "it")


@pytest.mark.parametrize("change", ["source", "points", "checksum", "order"])
def test_releases_that_differ_in_more_than_prose_are_refused(small, change):
    releases = make(small)[1]
    cell = next(cell for cell in releases["es"].cells if cell.id == "init-weights_std")
    if change == "source":
        cell.source += "\n"
    elif change == "order":
        releases["es"].cells.insert(0, releases["es"].cells.pop())
    else:
        cell.metadata["nbgrader"][change] = 7
    with pytest.raises(CourseError, match="more than prose"):
        require_parity(releases["en"], releases["es"], "it")


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("lesson.py", 'check="init-weights/std"', 'check="init-weights/mean"', "one line"),
        ("lesson.py", 'std", init_weights', 'std", expected_loss', "init_weights"),
        (INIT, 'name = "init-weights/std"', 'name = "init-weights/spread"', "no check"),
        (
            INIT,
            'class Std(Check):\n    name = "init',
            'class Std(Check):\n    name = "',
            "no check",
        ),
        ("messages.en.yaml", "init-weights/std:", "init-weights/other:", "missing"),
        ("messages.es.yaml", "{vocab_size} tokens has", "tokens has", "placeholders"),
        ("messages.es.yaml", "tamaño del vocabulario", '""', "empty"),
        ("messages.es.yaml", "valor del loss", "valor de la pérdida", "“pérdida” for loss"),
        ("lesson.yaml", "id: 18-90", "id: 18-91", "18-91"),
        ("lesson.yaml", "minutes", "minuts", "“minutes”"),
        ("lesson.yaml", ", es: Nada}", "}", "every language"),
    ],
)
def test_a_mistake_in_the_lesson_is_one_sentence_and_writes_nothing(
    copied, tmp_path, name, old, new, sentence
):
    edit(copied / name, old, new)
    with pytest.raises(CourseError) as caught:
        build(find_lesson("18-90"), tmp_path / "out")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_solution_that_fails_is_named_and_writes_nothing(copied, tmp_path):
    edit(copied / "lesson.py", 'print(f"{math', '1 / 0\nprint(f"{math')
    with pytest.raises(CourseError, match="“ln-v”.*ZeroDivisionError"):
        build(find_lesson("18-90"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["<object object at 0x7f0123456789>", "{folder}/run", str(ROOT / "x")])
def test_an_output_that_shows_this_machine_is_refused(tmp_path, text):
    book = v4.new_notebook(cells=[v4.new_code_cell("", id="a")])
    book.cells[0].outputs = [v4.new_output("stream", text=text.format(folder=tmp_path))]
    with pytest.raises(CourseError, match="“a”"):
        clean(book, "it", str(tmp_path))


def test_widgets_and_timings_are_dropped_and_pictures_kept(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    book = v4.new_notebook(cells=[v4.new_code_cell("", id="a", metadata={"execution": {}})])
    book.cells[0].outputs = [
        v4.new_output("display_data", data=widget),
        v4.new_output("display_data", data={"image/png": "AAAA", "text/plain": "a picture"}),
    ]
    clean(book, "it", str(tmp_path))
    assert [list(output.data) for output in book.cells[0].outputs] == [["image/png", "text/plain"]]
    assert book.cells[0].metadata == {}


def test_a_text_sent_in_pieces_is_one_and_stays_on_its_side_of_a_picture(tmp_path):
    texts = [v4.new_output("stream", text=text) for text in ("one\n", "two\n", "three\n")]
    picture = v4.new_output("display_data", data={"image/png": "AAAA", "text/plain": "a picture"})
    book = v4.new_notebook(cells=[v4.new_code_cell("", id="a", outputs=[*texts[:2], picture, texts[2]])])
    clean(book, "it", str(tmp_path))
    assert [output.get("text") for output in book.cells[0].outputs] == ["one\ntwo\n", None, "three\n"]


def spoil_cell(book):
    next(cell for cell in book["cells"] if cell["id"] == "curve")["source"] = "spoilt"


def unrun_cell(book):
    next(cell for cell in book["cells"] if cell["id"] == "setup")["execution_count"] = None


def silence_compared(book):
    next(cell for cell in book["cells"] if cell["id"] == "ln-v")["outputs"] = []


@pytest.mark.parametrize(
    ("kind", "spoil", "sentence"),
    [
        ("es", spoil_cell, "“curve”"),
        ("solutions", spoil_cell, "“curve”"),
        ("solutions", unrun_cell, "“setup” was not run"),
        ("solutions", silence_compared, "“ln-v”"),
    ],
)
def test_checking_names_what_differs_and_writes_nothing(small, built, tmp_path, kind, spoil, sentence):
    for each in ("solutions", "en", "es"):
        copy = small.built(each, tmp_path)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(small.built(each, built).read_bytes())
    file = small.built(kind, tmp_path)
    book = json.loads(file.read_text(encoding="utf-8"))
    spoil(book)
    file.write_text(to_text(nbformat.from_dict(book)), encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    (found,) = differences(small, tmp_path)
    assert sentence in found and str(file.relative_to(tmp_path)) in found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_checking_names_what_is_missing_not_a_notebook_or_nobodys(small, built, tmp_path):
    assert len(differences(small, tmp_path)) == 3
    file = small.built("en", tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert any("not a notebook" in sentence for sentence in differences(small, tmp_path))
    assert len(orphans([], built)) == 3 and orphans([small], built) == []


def test_a_change_of_a_check_makes_the_built_notebooks_stale(copied, built):
    edit(copied / INIT, "rtol=0.1", "rtol=0.2")
    assert len(differences(find_lesson("18-90"), built)) == 3


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    file = tmp_path / "a.ipynb"
    building.write(file, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        building.write(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_prose_can_change_without_running_anything_and_code_cannot(copied, built, tmp_path):
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    edit(copied / "lesson.py", "import torch\n", "import torch as _\n")
    with pytest.raises(CourseError, match=r"“setup” has changed.*--prose"):
        build(find_lesson("18-90"), tmp_path, prose=True)
    edit(copied / "lesson.py", "import torch as _\n", "import torch  # a comment is no code\n")
    edit(copied / "lesson.yaml", "A small lesson", "A tiny lesson")
    assert len(differences(find_lesson("18-90"), tmp_path)) == 3
    assert build(find_lesson("18-90"), tmp_path, prose=True) == {}
    assert differences(find_lesson("18-90"), tmp_path) == []
    solution = nbformat.read(find_lesson("18-90").built("solutions", tmp_path), as_version=4)
    assert {cell.id: cell for cell in solution.cells}["ln-v"].outputs[0].text == "6.2383\n"
