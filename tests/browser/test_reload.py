"""A playground after the page was loaded again, at two widths: it still follows, and its parts have names."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from test_playgrounds import HAS_FOCUS, open_playground, run_cells

from course.messages import message
from minigpt.messages import LANGUAGES

WIDTHS = {"en": 1400, "es": 900}
LESSON, CELLS = "18-06", ["setup", "facts", "sixteen-micro-batches", "playground"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_playground_follows_after_a_reload(page, address, checkout, screenshot, language):
    page.set_viewport_size({"width": WIDTHS[language], "height": 900})
    playground = open_playground(page, address(LANGUAGES[0]), checkout, LESSON, language, CELLS)
    page.locator("[data-command='docmanager:save']:visible").first.click()
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.reload()
    playground = page.locator(".jp-CodeCell").last
    picture = playground.locator("img.course-live")
    expect(picture).to_be_visible()
    expect(playground.locator(".jp-RenderedImage")).to_be_hidden()
    before = picture.get_attribute("src")
    slider = playground.locator(".widget-slider .noUi-target").first
    room = page.locator(".jp-NotebookPanel:visible").bounding_box()
    for target in playground.locator(".widget-slider").all():
        box = target.bounding_box()
        assert box["x"] + box["width"] <= room["x"] + room["width"]
    slider.click(position={"x": 0.8 * slider.bounding_box()["width"], "y": 2})
    expect(picture).not_to_have_attribute("src", before)
    expect(picture).to_have_attribute("alt", re.compile(r"k: \d+, "))
    screenshot(f"reload-{language}")

    knob = playground.locator(".noUi-handle").first
    name = playground.locator(".widget-slider .widget-label").first.inner_text()
    expect(knob).to_have_attribute("aria-label", name)
    readout = playground.locator(".widget-readout").first
    readout.fill("123456789")
    readout.press("Enter")
    words = message("plot.moved", language, typed="123456789", shown="{shown}").partition("{shown}")[0]
    expect(playground.locator(".course-note")).to_contain_text(words)
    knob.focus()
    page.keyboard.press("Escape")
    assert not knob.evaluate(HAS_FOCUS)


def test_a_picture_has_its_text(page, address, checkout):
    playground = open_playground(page, address(LANGUAGES[0]), checkout, LESSON, "es", CELLS)
    expect(playground.locator(".jp-RenderedImage img")).to_have_attribute("alt", re.compile(r"\w+: "))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_loaded_again_while_a_cell_runs_says_so(page, address, checkout, language):
    waits = "import IPython.display; IPython.display.display(1)\nfor _ in range(60): time.sleep(1)"
    code = {"setup": "import time", "facts": waits}
    running = run_cells(page, address(language), checkout, LESSON, language, list(code), code)
    # JupyterLab sends a cell once the one before it is through: the last one has to have begun
    expect(running.locator(".jp-OutputArea-output")).to_have_text("1")
    page.reload()
    words = message("learn.still-running", language).partition(".")[0]
    expect(page.locator(".Toastify")).to_contain_text(words)
