"""A learner in a real browser, in each language: opens the page, takes a lesson, answers wrong, then right.

The first lesson is taken as it is. The others are taken without their training cells, which their executed
solutions prove already: what is tested is the way from the landing page to a green Validate.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from course.landing import PAGES
from course.landing.words import buttons, words
from course.lesson import ROOT, Lesson, find_lesson
from course.messages import message
from course.mutants import Mutant, Valid, load_answers
from course.source import BEGIN, END, read_source
from minigpt.messages import LANGUAGES

WHOLE, *SHORTENED = ("18-01", "18-02", "18-06", "19-03", "19-07")  # the lessons that are taken

SUCCESS = "Success! Your notebook passes all the tests."
TRAINING = 600_000  # milliseconds until the first stub, on a busy machine
KERNEL_IS_READY = """notebook => {
    const request = new XMLHttpRequest();
    request.open("GET", "/api/sessions", false);  // at once: a promise would count as true
    request.send();
    const sessions = JSON.parse(request.responseText);
    return sessions.some(one => one.path === notebook && one.kernel.execution_state === "idle");
}"""
STDERR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
COLLECT_IMAGES = """
    window.shown = new Set();
    const images = () => document.querySelectorAll(".jp-OutputArea img");
    new MutationObserver(() => images().forEach(image => shown.add(image.src)))
       .observe(document, {childList: true, subtree: true, attributes: true});
"""

in_each_language = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return find_lesson("18-01")


@in_each_language
def test_landing_page_opens_the_lesson_in_the_other_language_too(page, address, screenshot, lesson, language):
    open_landing_page(page, address(language), language)
    for english in ("Run", "Tabs"):
        (own,) = words(language).get(f"menu\x04{english}", [english])
        expect(page.locator(".lm-MenuBar-itemLabel", has_text=own)).to_be_visible()
    screenshot(f"landing-{language}")
    (other,) = set(LANGUAGES) - {language}
    notebook = open_lesson(page, lesson, other)
    expect(notebook.locator("h1").first).to_contain_text(lesson.title[other])
    screenshot(f"from-{language}-to-{other}")


@in_each_language
def test_lesson_runs_to_the_first_stub(page, address, screenshot, lesson, language):
    page.add_init_script(COLLECT_IMAGES)
    open_landing_page(page, address(language), language)
    notebook = open_lesson(page, lesson, language)
    run_all(page)

    refusal = notebook.locator(STDERR).first
    expect(refusal).to_contain_text("✗", timeout=TRAINING)
    show(refusal)
    screenshot(f"first-stub-{language}")

    plot = notebook.locator(".jp-OutputArea-output img").first
    show(plot)
    page.wait_for_function("image => image.complete", arg=plot.element_handle())
    assert plot.evaluate("image => image.naturalWidth") > 300
    assert page.evaluate("shown.size") > notebook.locator(".jp-OutputArea-output img").count(), (
        "no plot moved"
    )
    screenshot(f"live-plot-{language}")

    playground = notebook.locator(".jp-CodeCell", has=page.locator(".widget-slider")).first
    before = playground.locator(".jp-RenderedImage img").get_attribute("src")
    knob = playground.locator(".noUi-handle").first
    knob.focus()
    knob.press("ArrowRight")
    expect(playground.locator(".jp-RenderedImage img")).not_to_have_attribute("src", before)
    show(playground.locator(".jp-RenderedImage img"))
    screenshot(f"playground-{language}")


@in_each_language
@pytest.mark.parametrize("identity", [WHOLE, *SHORTENED])
def test_a_lesson_is_taken_from_the_landing_page_to_a_green_validate(
    page, address, checkout, screenshot, identity, language
):
    taken = find_lesson(identity)
    restore(checkout, taken, language)
    if identity in SHORTENED:
        shorten(checkout, taken, language)
    open_landing_page(page, address(language), language)
    notebook = open_lesson(page, taken, language)
    desk = Desk(page, notebook, taken, taken.built(language, checkout))
    wrong, right = desk.a_wrong_and_a_right_answer()
    if identity in SHORTENED:
        results = validate(page)
        for name in taken.checks:
            expect(results).to_contain_text(taken.texts.text(name, language))
        screenshot(f"validate-untouched-{identity}-{language}")
        close_dialog(page)

    desk.run_setup()
    desk.write(wrong.exercise, wrong.code)
    name, key = next(iter(wrong.fails.items()))
    output = desk.run(name)
    expect(output).to_contain_text(f"✗ {taken.texts.text(name, language)}")
    expect(output).to_contain_text(longest_part(taken.texts.by_language[language][key]))
    show(output)
    screenshot(f"hint-{identity}-{language}")

    desk.write(right.exercise, right.code)
    expect(desk.run(name)).to_contain_text(f"✓ {taken.texts.text(name, language)}")
    for exercise, code in desk.solutions().items():
        if exercise != right.exercise:
            desk.write(exercise, code)
    desk.explain("…")
    expect(validate(page)).to_contain_text(buttons(language).get(SUCCESS, SUCCESS))
    screenshot(f"validate-{identity}-{language}")
    close_dialog(page)

    return_to_landing_page(page, language)
    done = f"{len(taken.checks)}/{len(taken.checks)} ✓"
    row = page.locator(".jp-RenderedMarkdown tr", has=page.get_by_text(identity, exact=True))
    expect(row).to_contain_text(done)
    written = sum(cell.role == "answer" for cell in desk.source)
    expect(row).to_contain_text(f"{written}/{written} ✓")
    screenshot(f"progress-{identity}-{language}")


class Desk:
    """An open notebook and the learner before it; cells are found by their name in the lesson's source."""

    def __init__(self, page: Page, notebook: Locator, lesson: Lesson, file: Path):
        self.page, self.notebook, self.lesson = page, notebook, lesson
        self.source = read_source(lesson.folder / "lesson.py")
        self.order = [cell.id for cell in nbformat.read(file, as_version=4).cells]

    def a_wrong_and_a_right_answer(self) -> tuple[Mutant, Valid]:
        """Two answers of mutants/ to the lesson's first exercise."""
        first = next(cell.name for cell in self.source if cell.role == "solution")
        answers = [one for one in load_answers(self.lesson.folder / "mutants") if one.exercise == first]
        return tuple(next(one for one in answers if isinstance(one, kind)) for kind in (Mutant, Valid))

    def solutions(self) -> dict[str, str]:
        """The reference solutions, as a learner would type them."""
        found = {}
        for cell in self.source:
            if cell.role == "solution":
                lines = [line for line in cell.text.splitlines() if line.strip() not in (BEGIN, END)]
                found[cell.name] = "\n".join(lines)
        return found

    def run_setup(self) -> None:
        """Run the cells that the answers need."""
        for cell in self.source:
            if cell.setup:
                self.run(cell.name)

    def write(self, name: str, code: str) -> None:
        """Put code in place of what the cell holds, and run it."""
        editor = self._cell(name).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(code)
        expect(editor).to_contain_text(code.splitlines()[-1].strip())
        self.run(name)

    def explain(self, text: str) -> None:
        """Write into every cell that a person grades."""
        for answer in self.source:
            if answer.role == "answer":
                cell = self._cell(answer.name)
                cell.locator(".jp-RenderedMarkdown").dblclick()
                cell.locator(".cm-content").click()
                self.page.keyboard.press("Control+A")
                self.page.keyboard.insert_text(text)
                self.page.keyboard.press("Control+Enter")
                expect(cell.locator(".jp-RenderedMarkdown")).to_contain_text(text)

    def run(self, name: str) -> Locator:
        """Run a cell and return where its output appears."""
        cell = self._cell(name)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        return cell.locator(".jp-OutputArea")

    def _cell(self, name: str) -> Locator:
        cell = self.notebook.locator(".jp-Cell").nth(self.order.index(name.replace("/", "_")))
        cell.scroll_into_view_if_needed()
        return cell


def restore(checkout: Path, lesson: Lesson, language: str) -> None:
    """Put the release back, for JupyterLab may have saved what an earlier test left in its place."""
    shutil.copy(lesson.built(language), lesson.built(language, checkout))


def shorten(checkout: Path, lesson: Lesson, language: str) -> None:
    """Leave only prose, setup, exercises and checks in the learner's copy of a release."""
    file = lesson.built(language, checkout)
    cells = read_source(lesson.folder / "lesson.py")
    trained = {cell.grade_id for cell in cells if cell.role == "code" and not cell.setup}
    notebook = nbformat.read(file, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id not in trained]
    nbformat.write(notebook, file)


def validate(page: Page) -> Locator:
    """Press Validate and return its message once it is there."""
    page.locator(".validate-button:visible").click()
    results = page.locator("#validation-message")
    results.wait_for(timeout=TRAINING)
    return results


def close_dialog(page: Page) -> None:
    """Confirm the dialog that is open."""
    page.locator(".jp-Dialog .jp-mod-accept").click()


def longest_part(template: str) -> str:
    """The longest piece of a message between its placeholders."""
    return max(re.split(r"\{[^}]*\}", template), key=len).strip()


def open_landing_page(page: Page, address: str, language: str) -> None:
    """Open the address with an empty desk, and wait for the page."""
    page.goto(f"{address}&reset")
    expect(page.locator(".jp-RenderedMarkdown h1")).to_contain_text(message("learn.title", language))


def return_to_landing_page(page: Page, language: str) -> None:
    """Click the tab of the page, which has stayed open behind the lesson."""
    page.locator(".lm-TabBar-tab", has_text=PAGES[language]).click()


def open_lesson(page: Page, lesson: Lesson, language: str) -> Locator:
    """Click the lesson's link on the landing page; return its notebook once the kernel is ready."""
    page.locator(".jp-RenderedMarkdown").get_by_role("link", name=lesson.title[language], exact=True).click()
    notebook = page.locator(".jp-NotebookPanel:visible .jp-Notebook")
    notebook.wait_for()
    page.wait_for_function(KERNEL_IS_READY, arg=lesson.built(language).relative_to(ROOT).as_posix())
    return notebook


def show(place: Locator) -> None:
    """Scroll there, and wait until the notebook has drawn it: it draws cells as they come into view."""
    place.scroll_into_view_if_needed()
    expect(place).to_be_in_viewport()


def run_all(page: Page) -> None:
    """Press “restart the kernel and run all cells” and confirm."""
    page.locator("[data-command='notebook:restart-run-all']:visible").click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
