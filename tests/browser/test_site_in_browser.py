"""The static edition in a real browser: it fits a phone and a desk, light and dark, and asks for nothing."""

from __future__ import annotations

import pytest

from course.build import source_notebook
from course.lesson import find_lesson
from course.site import executed, write_site
from course.source import read_source
from minigpt.messages import LANGUAGES

WIDTHS = {"phone": 390, "desk": 1280}
PATIENCE = 180_000  # milliseconds: a large page on a busy machine


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The first lesson's pages; the Spanish one without outputs, which need a run."""
    folder, lesson = tmp_path_factory.mktemp("site"), find_lesson("18-01")
    blank = source_notebook(lesson, read_source(lesson.folder / "lesson.py"), "es")
    write_site([lesson], folder, lambda one, code: executed(one, code) if code == "en" else blank)
    return folder


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("code", LANGUAGES)
def test_a_page_fits_and_is_whole(browser, site, code, width, theme):
    page = browser.new_page(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=theme)
    asked = []
    page.on("request", lambda request: asked.append(request.url.split(":")[0]))
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.set_default_timeout(PATIENCE)
    page.goto((site / "index.html").as_uri())
    page.locator(f"a[href='{code}/index.html']").click()
    page.locator(".lessons a").click()
    page.wait_for_url(f"**/{code}/18-01*.html")  # and for what it loads
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    images = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert (len(images) > 4 and min(images) > 300) if code == "en" else images == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    page.locator(".contents a").last.click()
    page.wait_for_url("**#*")
    assert page.evaluate("document.getElementById(decodeURIComponent(location.hash.slice(1))) !== null")
    page.locator("header a.language").click()
    (other,) = set(LANGUAGES) - {code}
    page.wait_for_url(f"**/{other}/18-01*.html")
    assert page.evaluate("document.documentElement.lang") == other
    assert set(asked) <= {"file", "data"}
    page.close()
