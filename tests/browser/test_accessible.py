"""No serious fault of accessibility: axe-core looks at dashboard, site, landing page and a lesson."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_playgrounds import open_playground

from course.build import source_notebook
from course.landing.words import buttons, names
from course.lesson import find_lesson
from course.site import executed, write_site
from course.source import read_source
from minigpt.dashboard import from_run, write
from minigpt.dashboard import page as dashboard
from minigpt.messages import LANGUAGES

SERIOUS = ("serious", "critical")
THEMES = ("light", "dark")


def faults(window, *within: str) -> list[str]:
    """Every serious fault with the first element that has it; `within`: in these parts of the page alone."""
    context = {"include": [[part] for part in within]} if within else None
    found = Axe().run(window, context=context).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:160]}" for fault in found if fault["impact"] in SERIOUS
    ]


@pytest.fixture
def look(browser):
    """`look(file, theme)` opens a page without its own policy, which would refuse the scanner's script."""
    opened = []

    def show(file, theme):
        window = browser.new_page(viewport={"width": 900, "height": 900}, color_scheme=theme, bypass_csp=True)
        opened.append(window)
        window.goto(file.as_uri())
        return window

    yield show
    for window in opened:
        window.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", ["English", "Español"])
def test_the_dashboard(look, tiny_run, tmp_path, language, theme):
    write(tmp_path / "dashboard.html", dashboard([from_run(tiny_run.path)]))
    window = look(tmp_path / "dashboard.html", theme)
    window.get_by_role("button", name=language).click()
    assert faults(window) == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_site(look, tmp_path, language, theme):
    lesson = find_lesson("18-00")
    blank = source_notebook(lesson, read_source(lesson.folder / "lesson.py"), "es")
    write_site([lesson], tmp_path, lambda one, code: executed(one, code) if code == "en" else blank)
    for file in (tmp_path / "index.html", *sorted((tmp_path / language).glob("*.html"))):
        assert (file.name, faults(look(file, theme))) == (file.name, [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_landing_page_and_a_lesson(page, address, checkout, language):
    page.goto(address(language))
    expect(page.locator(".jp-RenderedMarkdown h1").first).to_be_visible()
    assert faults(page, ".jp-RenderedMarkdown") == []
    cells = ["setup", "facts", "sixteen-micro-batches", "playground"]
    playground = open_playground(page, address(language), checkout, "18-06", language, cells)
    expect(playground.locator(".noUi-handle").first).to_have_attribute("aria-label", "k")
    expect(page.locator(".jp-OutputArea img:not([alt])")).to_have_count(0)  # given once shown
    assert faults(page, ".jp-OutputArea") == []
    for english in [*names(language), *buttons(language)]:
        expect(page.locator(f'[aria-label="{english}"]')).to_have_count(0)
