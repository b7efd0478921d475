"""The static edition: pages in both languages that give nothing away; an inspection that sees faults."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from course.build import source_notebook
from course.cli import main
from course.execute import execute
from course.lesson import all_lessons, find_lesson
from course.messages import CourseError, message
from course.site import executed, write_site
from course.site.inspection import faults
from course.source import read_source, stamped
from minigpt.messages import LANGUAGES, use_language

FIRST = "18-01"
FIXTURES = Path(__file__).parent / "fixtures" / "lessons"


def run_in(lesson, code):
    """The lesson's solved notebook, executed here in the language."""
    cells = read_source(lesson.folder / "lesson.py")
    return execute(source_notebook(lesson, cells, code), lesson.slug)[0]


def not_run(lesson, code):
    """The lesson's solved notebook without outputs."""
    return source_notebook(lesson, read_source(lesson.folder / "lesson.py"), code)


def run_in_english(lesson, code):
    """English as committed; Spanish without outputs, which need a run."""
    return executed(lesson, code) if code == "en" else not_run(lesson, code)


@pytest.fixture(scope="module")
def small_site(built, tmp_path_factory):
    """The site of the small lesson, and that lesson."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_LESSONS", str(FIXTURES))
        lesson = find_lesson("18-90")

        def run(lesson, code):
            solution = lesson.built("solutions", built)
            return nbformat.read(solution, as_version=4) if code == "en" else run_in(lesson, code)

        write_site([lesson], folder, run)
    return folder, lesson


def page_of(site, code):
    folder, lesson = site
    return BeautifulSoup(
        (folder / code / f"{lesson.assignment}.html").read_text(encoding="utf-8"), "html.parser"
    )


def test_a_site_has_no_fault(small_site):
    folder, lesson = small_site
    assert faults(folder, [lesson]) == []
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    lesson_pages = {
        f"{code}/{name}" for code in LANGUAGES for name in ("index.html", "18-90-small-model.html")
    }
    assert names == {"index.html", "style.css"} | lesson_pages


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_page_has_stubs_plots_figures_and_its_own_language(small_site, code):
    page = page_of(small_site, code)
    lesson = small_site[1]
    stubs = [tag.get_text() for tag in page.select(".exercise pre")]
    assert len(stubs) == 2 and all("raise NotImplementedError" in stub for stub in stubs)
    assert [tag.get_text() for tag in page.select("pre.output")] == ["6.2383"]
    assert len(page.select(".plot img")) == 1 and len(page.select("svg.formula")) == 1
    assert not page.select("svg #patch_1") and len(page.select("svg use")) == 3  # no ground, three letters
    for name in lesson.checks:
        assert lesson.texts.text(name, code) in page.select_one("main").get_text()
    assert page.html["lang"] == code and lesson.prerequisites[code] in page.get_text()
    other = page.select_one("header a.language")
    assert other["hreflang"] in LANGUAGES and other["hreflang"] != code


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('lang="es"', 'lang="en"', "language"),
        ("../style.css", "style.css", "link"),
        ('href="index.html"', 'href="lessons.html"', "link"),
        ('href="index.html"', 'href="#nowhere"', "link"),
        ("../style.css", "https://example.org/style.css", "network"),
        ("</main>", "<script>1</script></main>", "network"),
        ("base64,iVBOR", "base64,AAAAA", "picture"),
        ('src="data:image/png', 'src="plot.png?', "picture"),
        (r'alt="[^"]+"', 'alt=" "', "description"),
        ("Se comprueba en el cuaderno:", "Checked in the notebook:", "label"),
        ("6.2383", "vocabulary size", "label"),
        ("6.2383", "step 3 of 80 · loss 1.2 · gradient norm 0.5", "label"),
        ("6.2383", "plot.grad-norm", "label"),
        ("6.2383", "torch.nn.init.normal_(weight, mean=0.0, std=0.02)", "leak"),
    ],
)
def test_a_fault_is_seen(small_site, tmp_path, old, new, key):
    folder, lesson = small_site
    copy = shutil.copytree(folder, tmp_path / "site")
    file = copy / "es" / f"{lesson.assignment}.html"
    text, count = re.subn(old, lambda _: new, file.read_text(encoding="utf-8"), count=1)
    assert count == 1
    file.write_text(text, encoding="utf-8")
    start = message(f"site.bad-{key}", page=f"es/{file.name}", what="|").split("|")[0]
    assert any(sentence.startswith(start) for sentence in faults(copy, [lesson])), faults(copy, [lesson])


def test_every_lesson_makes_pages_whose_links_lead_somewhere(tmp_path):
    lessons = all_lessons()
    pages = write_site(lessons, tmp_path, run_in_english)
    assert len(pages) == 2 + len(LANGUAGES) * (1 + len(lessons))
    assert faults(tmp_path, lessons) == []


def test_a_page_made_anew_leaves_the_others_in_the_index(tmp_path):
    first, second = find_lesson("18-02"), find_lesson("18-06")
    write_site([second], tmp_path, not_run)
    write_site([first], tmp_path, not_run)
    for code in LANGUAGES:
        index = (tmp_path / code / "index.html").read_text(encoding="utf-8")
        assert index.index(f"{first.assignment}.html") < index.index(f"{second.assignment}.html")
        page = (tmp_path / code / f"{first.assignment}.html").read_text(encoding="utf-8")
        assert f'href="{second.assignment}.html"' in page


def test_a_real_lesson_speaks_spanish_in_every_output(tmp_path):
    lesson = find_lesson(FIRST)
    write_site(
        [lesson], tmp_path, lambda one, code: executed(one, code) if code == "en" else run_in(one, code)
    )
    assert faults(tmp_path, [lesson]) == []
    pages = [
        (tmp_path / code / f"{lesson.assignment}.html").read_text(encoding="utf-8") for code in LANGUAGES
    ]
    plots = [page.count("<img ") for page in pages]
    assert plots[0] == plots[1] > 4


def test_a_formula_that_cannot_be_drawn_is_told(copied, tmp_path):
    file = copied / "lesson.py"
    file.write_text(file.read_text(encoding="utf-8").replace(r"\ln V", r"\nothing V"), encoding="utf-8")
    file.write_text(stamped(file), encoding="utf-8")
    with pytest.raises(CourseError, match="nothing V"):
        write_site([find_lesson("18-90")], tmp_path / "site", not_run)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_folder_that_cannot_be_is_told_in_one_sentence(small, tmp_path, monkeypatch, capsys, code):
    use_language(code)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("course.site.executed", not_run)
    assert main(["site", "18-90", "--out", str(tmp_path / "file" / "site")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--out" in error


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_lesson_that_is_not_built_is_told(small, tmp_path, capsys, code):
    assert main(["site", "18-90", "--out", str(tmp_path), "--lang", code]) == 1
    assert "course build" in capsys.readouterr().err
