"""Every lesson's playground, moved by mouse and by keyboard: the picture follows, and no label is cut off.

A lesson is opened with only the cells that its playground needs, and all of them on one server: a notebook
speaks the language that it carries, whatever the language of the JupyterLab around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from course.lesson import find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES

NEEDED = {  # lesson: its languages here, and the cells that its playground needs
    "18-00": ("es", ["setup"]),
    "18-01": ("en", ["setup", "facts", "one-start"]),
    "18-02": ("en", ["setup", "facts", "small-run"]),
    "18-03": ("es", ["setup", "train-healthy", "short-run"]),
    "18-04": ("en", ["setup", "little-text", "short-run"]),
    "18-05": ("es", ["setup", "facts"]),
    "18-06": ("en", ["setup", "facts", "sixteen-micro-batches"]),
    "18-07": ("es", ["setup", "facts", "the-loop", "advance", "memory"]),
    "19-03": ("en es", ["setup", "facts", "train-never", "draw-losses"]),
    "19-07": ("en es", ["setup", "one-channel"]),
}
MOVED = [(identity, language) for identity in NEEDED for language in NEEDED[identity][0].split()]
WIDTHS = (1400, 900)  # pixels of the window in which a moved playground is looked at
TWO_PATIENTS = {
    "my-name": 'MY_NAME = "Ada Lovelace"',
    "train-the-ward": 'trained = {letter: ward(MY_NAME)[letter].train(runs / letter) for letter in "AB"}',
}
STOPS = 8  # of the Tab key in a playground, at most
HAS_FOCUS = "element => element === document.activeElement"
CUT_OFF = "label => label.scrollWidth > label.clientWidth"


@pytest.mark.parametrize(("identity", "language"), MOVED)
def test_a_control_is_moved_by_mouse_and_by_keyboard(page, address, checkout, screenshot, identity, language):
    cells = [*NEEDED[identity][1], "playground"]
    playground = open_playground(page, address(LANGUAGES[0]), checkout, identity, language, cells)
    expect(playground.locator(".widget-slider .noUi-target").first).to_be_visible()
    labels = playground.locator(".widget-label")
    assert [label.inner_text() for label in labels.all() if label.evaluate(CUT_OFF)] == []

    picture = playground.locator(".jp-RenderedImage img")
    start = picture.get_attribute("src")
    slider = playground.locator(".widget-slider .noUi-target").first
    slider.click(position={"x": 0.8 * slider.bounding_box()["width"], "y": 2})
    expect(picture).not_to_have_attribute("src", start)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        picture.scroll_into_view_if_needed()
        screenshot(f"playground-{identity}-{language}-{width}")

    by_mouse = picture.get_attribute("src")
    knob = playground.locator(".noUi-handle").first
    playground.locator("[tabindex], select").last.focus()
    for _ in range(STOPS):
        if not knob.evaluate(HAS_FOCUS):
            page.keyboard.press("Shift+Tab")
    expect(knob).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(picture).not_to_have_attribute("src", by_mouse)

    for choice in playground.locator("select").all():
        before = picture.get_attribute("src")
        choice.focus()
        page.keyboard.press("ArrowDown")
        expect(picture).not_to_have_attribute("src", before)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bedside_works_by_mouse_and_by_keyboard(page, address, checkout, screenshot, language):
    cells = ["setup", *TWO_PATIENTS, "at-the-bedside"]
    bedside = open_playground(page, address(LANGUAGES[0]), checkout, "18-08", language, cells, TWO_PATIENTS)
    picture = bedside.locator(".jp-RenderedImage img")
    asked = bedside.locator(".widget-html-content:visible").first
    fine, broken = (
        bedside.get_by_role("button", name=message(f"bedside.{name}", language))
        for name in ("fine", "broken")
    )
    bedside.get_by_role("button", name=message("bedside.way-order", language), exact=True).click()
    expect(asked).to_contain_text("1.0")
    fine.click()
    expect(asked).to_contain_text("1.1")

    drawn = picture.get_attribute("src")
    bedside.get_by_role("button", name="A", exact=True).focus()
    for key in ("ArrowRight", "Tab", "Enter"):  # the arrow is JupyterLab's way to another cell
        page.keyboard.press(key)
    expect(asked).to_contain_text("1.0")
    expect(picture).not_to_have_attribute("src", drawn)
    for _ in range(STOPS):
        if not broken.evaluate(HAS_FOCUS):
            page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    leaf = bedside.locator("select:visible")
    expect(bedside).to_contain_text(re.compile(r"A: – · B: [a-z]"))  # written last, after the choices
    first = leaf.input_value()
    leaf.focus()
    page.keyboard.press("ArrowDown")
    expect(leaf).not_to_have_value(first)
    expect(bedside).to_contain_text(f"A: – · B: {leaf.input_value()}")
    screenshot(f"bedside-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_patient_is_diagnosed_on_five_credits_by_keyboard(page, address, checkout, screenshot, language):
    cells = ["setup", *TWO_PATIENTS, "at-the-bedside"]
    bedside = open_playground(page, address(LANGUAGES[0]), checkout, "18-08", language, cells, TWO_PATIENTS)
    question, guess = (bedside.locator("select:visible").nth(place) for place in (0, 1))
    question.focus()
    page.keyboard.press("ArrowDown")
    expect(question).to_have_value(re.compile("^1.1 "))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(bedside).to_contain_text(message("bedside.left", language, left=4, credits=5))
    page.keyboard.press("Tab")
    if not guess.evaluate(HAS_FOCUS):
        page.keyboard.press("Tab")
    expect(guess).to_be_focused()
    for _ in range(guess.locator("option").count()):  # letters are JupyterLab's own shortcuts
        if guess.input_value() != "init-scale":
            page.keyboard.press("ArrowDown")
    expect(guess).to_have_value("init-scale")
    expect(bedside).to_contain_text(f"{message('bedside.decide', language)}: init-scale")  # it has arrived
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(bedside).to_contain_text("A: init-scale (1/5) · B: –")
    expect(bedside).to_contain_text(message("bedside.apart", language, leaf="init-scale").replace("`", ""))
    for width in (1400, 900):
        page.set_viewport_size({"width": width, "height": 1000})
        screenshot(f"credits-{language}-{width}")


def open_playground(
    page: Page,
    address: str,
    checkout: Path,
    identity: str,
    language: str,
    cells: list[str],
    code: Mapping[str, str] = {},
) -> Locator:
    """Open the lesson with those cells alone, some with other code; run them and return the last one."""
    playground = run_cells(page, address, checkout, identity, language, cells, code)
    expect(playground.locator(".jp-RenderedImage img")).to_be_visible()
    return playground


def run_cells(
    page: Page,
    address: str,
    checkout: Path,
    identity: str,
    language: str,
    cells: list[str],
    code: Mapping[str, str],
) -> Locator:
    """As `open_playground`, without waiting for a picture."""
    lesson = find_lesson(identity)
    file = lesson.built(language, checkout)
    notebook = nbformat.read(lesson.built(language), as_version=4)  # the copy may be one that was shortened
    notebook.cells = [cell for cell in notebook.cells if cell.id in cells]
    for cell in notebook.cells:
        cell.source = code.get(cell.id, cell.source)
    file = file.with_name("playground.ipynb")
    nbformat.write(notebook, file)
    page.goto(re.sub(r"/tree/[^?]*", f"/tree/{file.relative_to(checkout).as_posix()}", address) + "&reset")
    idle = re.compile(r"\| (Idle|Inactivo)")  # a restart would get lost before
    expect(page.locator("#jp-main-statusbar")).to_contain_text(idle)
    page.locator("[data-command='notebook:restart-run-all']:visible").click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    return page.locator(".jp-CodeCell").last
