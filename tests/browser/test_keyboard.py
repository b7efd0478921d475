"""A lesson by keyboard alone, at two widths and in both languages, with a reload in the middle.

From the landing page into the first lesson, a guess typed into its cell, the page loaded again, and on: the
mouse is never used. The lesson keeps only the cells that this needs.
"""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import Page, expect
from test_lesson import KERNEL_IS_READY, open_landing_page

from course.lesson import ROOT, find_lesson
from course.messages import message

WIDTHS = {"en": 1400, "es": 900}
CELLS = ["lesson-header", "lesson-map", "setup", "two-runs", "choose", "my-choice", "reveal"]
STOPS = 200  # presses of the Tab key, at most, until something has the focus
AT = "({tag, text}) => document.activeElement?.closest(tag)?.textContent.trim() === text"


@pytest.mark.parametrize("language", WIDTHS)
def test_the_first_lesson_by_keyboard_alone_with_a_reload_in_the_middle(
    page, address, checkout, screenshot, language
):
    lesson = find_lesson("18-00")
    file = lesson.built(language, checkout)
    notebook = nbformat.read(lesson.built(language), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id in CELLS]
    nbformat.write(notebook, file)
    page.set_viewport_size({"width": WIDTHS[language], "height": 900})

    open_landing_page(page, address(language), language)
    tab_to(page, "a", lesson.title[language])
    page.keyboard.press("Enter")
    page.locator(".jp-NotebookPanel:visible .jp-Notebook").wait_for()
    page.wait_for_function(KERNEL_IS_READY, arg=lesson.built(language).relative_to(ROOT).as_posix())
    expect(page.locator(".course-map")).to_be_visible()
    screenshot(f"map-{language}-{WIDTHS[language]}")

    run_down_to(page, "my-choice")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text('predict("overnight", let_run="B")')
    page.keyboard.press("Control+Enter")
    written = message("predict.written", language, row="…", guess="B").rpartition("…")[2]
    expect(cell(page, "my-choice")).to_contain_text(written)
    page.keyboard.press("Control+S")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)

    page.reload()
    expect(cell(page, "my-choice")).to_contain_text(written)
    page.wait_for_function(KERNEL_IS_READY, arg=lesson.built(language).relative_to(ROOT).as_posix())
    run_down_to(page, None)
    expect(cell(page, "reveal")).to_contain_text("✓")
    screenshot(f"keyboard-{language}-{WIDTHS[language]}")


def cell(page: Page, name: str):
    """A cell of the shortened lesson."""
    return page.locator(".jp-NotebookPanel:visible .jp-Cell").nth(CELLS.index(name))


def run_down_to(page: Page, name: str | None) -> None:
    """Select the first cell by keyboard and run cells until `name` is selected, or to the end."""
    page.keyboard.press("Escape")
    for _ in CELLS:
        page.keyboard.press("ArrowUp")
    for _ in CELLS[: CELLS.index(name) if name else None]:
        page.keyboard.press("Shift+Enter")


def tab_to(page: Page, tag: str, text: str) -> None:
    """Press Tab until an element of that tag and text has the focus."""
    for _ in range(STOPS):
        if page.evaluate(AT, {"tag": tag, "text": text}):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"“{text}” is not reached by the Tab key")
