"""The dashboard in a real browser: drawn, switchable, usable by keyboard and on a phone, with no request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from minigpt.config import Config
from minigpt.dashboard import from_run, page, write
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

SCREENSHOTS = Path(__file__).parent / "screenshots"
LIVE = 3600  # seconds between two reloads
SIZES = {"wide": 1280, "narrow": 390}
TITLES = {"English": "Training dashboard", "Español": "Dashboard de entrenamiento"}


@pytest.fixture(scope="module")
def runs(tiny_run, tmp_path_factory):
    """A healthy run, and one with a fault, a spike and a loss that ends as NaN."""
    config = Config(steps=60, warmup_steps=10, eval_every=20, eval_batches=1, batch_size=8, seed=1)
    broken = train(Recipe(config).with_fault("lr-discontinuous"), tmp_path_factory.mktemp("runs") / "broken")
    log = broken.path / "metrics.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    records[40] |= {"loss": 33.0, "grad_norm": 60.0, "loss_spike": 7.1, "grad_spike": 50.0}
    records[-1]["loss"] = "NaN"
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    return tiny_run.path, broken.path


@pytest.fixture(scope="module")
def dashboards(runs, tmp_path_factory):
    """Pages of one run and of two, as files."""
    folder = tmp_path_factory.mktemp("pages")
    for name, paths in {"one": runs[:1], "two": runs}.items():
        write(folder / f"{name}.html", page([from_run(path) for path in paths]))
    return folder


@pytest.fixture
def open_page(browser, dashboards):
    """`open_page("two", width=390, theme="dark")`; a request, an error or a warning fails the test."""
    opened, problems = [], []

    def show(name, width=1280, theme="light", file=None):
        file = file or dashboards / f"{name}.html"
        window = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        opened.append(window)
        window.on("console", lambda entry: problems.append(entry.text))
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.route(
            "**/*",
            lambda route: route.continue_() if _is(file, route) else problems.append(route.request.url),
        )
        window.goto(file.as_uri())
        return window

    yield show
    for window in opened:
        window.close()
    assert problems == []


def _is(file, route) -> bool:
    return route.request.url == file.as_uri()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", TITLES)
def test_every_look(open_page, language, size, theme):
    window = open_page("two", SIZES[size], theme)
    window.get_by_role("button", name=language).click()
    expect(window.get_by_role("heading", level=1)).to_have_text(TITLES[language])
    expect(window.locator("canvas")).to_have_count(7)
    assert window.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.evaluate("document.documentElement.dataset.theme") == theme
    assert window.evaluate("document.documentElement.lang") == ("en" if language == "English" else "es")
    drawn = window.evaluate(
        """() => [...document.querySelectorAll("canvas")].map((canvas) => new Set(new Uint32Array(
             canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"""
    )
    assert min(drawn) > 10  # colours on each canvas: an empty one has one
    texts = window.locator("main").inner_text()
    assert "undefined" not in texts and "page-" not in texts and "figure-" not in texts
    expect(window.get_by_text("lr-discontinuous").first).to_be_visible()
    SCREENSHOTS.mkdir(exist_ok=True)
    code = "en" if language == "English" else "es"
    window.screenshot(path=SCREENSHOTS / f"dashboard-{code}-{size}-{theme}.png", full_page=True)


def test_one_run_shows_its_figures_and_the_whole_walk(open_page):
    window = open_page("one")
    expect(window.locator(".card dd").first).to_have_text("80 / 80")
    expect(window.get_by_text("Did it start at chance?")).to_be_visible()
    window.get_by_text("Manifest").click()
    expect(window.get_by_role("row", name="config.n_layer 2")).to_be_visible()


def test_the_theme_can_be_chosen_and_is_kept(open_page):
    window = open_page("one")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = window.evaluate(ground)
    window.get_by_role("button", name="dark").click()
    assert window.evaluate(ground) != light
    window.reload()
    expect(window.get_by_role("button", name="dark")).to_have_attribute("aria-pressed", "true")
    assert window.evaluate(ground) != light


def test_the_keyboard_reaches_a_chart_moves_along_it_and_zooms(open_page):
    window = open_page("one")
    for _ in range(6):  # past the buttons for language and theme
        window.keyboard.press("Tab")
    chart = window.locator(".chart").first
    expect(chart).to_be_focused()
    window.keyboard.press("Home")
    for _ in range(3):
        window.keyboard.press("ArrowRight")
    output = window.locator("output").first
    expect(output).to_have_text("step 3")
    shown = float(window.locator(".legend").first.locator("button").first.locator("b").inner_text())
    assert 5 < shown < 8
    window.keyboard.press("+")
    span = "(() => { const { min, max } = charts[0].plot.scales.x; return max - min; })()"
    assert window.evaluate(span) < 60
    window.keyboard.press("Escape")
    assert window.evaluate(span) == 79
    window.keyboard.press("End")
    expect(output).to_have_text("step 79")


def test_a_curve_can_be_hidden_and_stays_hidden(open_page):
    window = open_page("two")
    button = window.locator(".legend").first.get_by_role("button", name="training").first
    button.focus()
    window.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")
    window.get_by_role("button", name="Español").click()
    again = window.locator(".legend").first.get_by_role("button", name="entrenamiento").first
    expect(again).to_have_attribute("aria-pressed", "false")


def test_a_live_page_reloads_itself_until_it_is_paused(open_page, runs, tmp_path):
    file = tmp_path / "live.html"
    write(file, page([from_run(runs[0])], live=LIVE))
    window = open_page("live", file=file)
    window.clock.install()  # the page's clock is the test's: no reload comes between a look and a click
    window.reload()
    expect(window.locator(".card h2")).to_have_text("tiny")
    write(file, page([from_run(runs[1])], live=LIVE))
    window.clock.fast_forward(LIVE * 1000)
    expect(window.locator(".card h2")).to_have_text("broken")
    window.get_by_role("button", name="Pause").click()
    expect(window.get_by_role("button", name="Go on")).to_be_visible()
    write(file, page([from_run(runs[0])]))
    window.clock.fast_forward(2 * LIVE * 1000)
    expect(window.locator(".card h2")).to_have_text("broken")
    window.get_by_role("button", name="Go on").click()
    window.clock.fast_forward(LIVE * 1000)
    expect(window.locator(".card h2")).to_have_text("tiny")
    expect(window.get_by_role("button", name="Pause")).to_be_hidden()
