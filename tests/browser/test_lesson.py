"""A learner's first minutes, in each language: open the page, click the lesson, run it, validate it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from course.lesson import ROOT, Lesson, find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES

TRAINING = 240_000  # milliseconds until the first stub, on a busy machine
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
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 300
    assert page.evaluate("shown.size") > notebook.locator(".jp-OutputArea-output img").count(), (
        "no plot moved"
    )
    screenshot(f"live-plot-{language}")

    playground = notebook.locator(".jp-CodeCell", has=page.locator(".widget-slider")).first
    before = playground.locator("img").get_attribute("src")
    knob = playground.locator(".noUi-handle").first
    knob.focus()
    knob.press("ArrowRight")
    expect(playground.locator("img")).not_to_have_attribute("src", before)
    show(playground.locator("img"))
    screenshot(f"playground-{language}")


@in_each_language
def test_validate_explains_what_is_not_written(page, address, screenshot, lesson, language):
    open_landing_page(page, address(language), language)
    open_lesson(page, lesson, language)
    page.locator(".validate-button:visible").click()
    results = page.locator("#validation-message")
    results.wait_for(timeout=TRAINING)
    for name in lesson.checks:
        expect(results).to_contain_text(lesson.texts.text(name, language))
    screenshot(f"validate-{language}")


def open_landing_page(page: Page, address: str, language: str) -> None:
    """Open the address with an empty desk, and wait for the page."""
    page.goto(f"{address}&reset")
    expect(page.locator(".jp-RenderedMarkdown h1")).to_contain_text(message("learn.title", language))


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
