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
    for record in records:
        record["attempt"] = int(record["step"] >= 30)
    undone = [record | {"attempt": 0, "loss": 9.0} for record in records[30:36]]
    records[40] |= {"loss": 33.0, "grad_norm": 60.0, "loss_spike": 7.1, "grad_spike": 50.0}
    records[-1]["loss"] = "NaN"
    log.write_text("".join(json.dumps(record) + "\n" for record in [*records[:30], *undone, *records[30:]]))
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
    expect(window.locator("canvas")).to_have_count(14)  # seven, and seven that instruments fill
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
    chart = window.locator(".chart").first
    for _ in range(14):  # past language, theme, the diagnosis and the chart's switches
        if not chart.evaluate("element => element === document.activeElement"):
            window.keyboard.press("Tab")
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


SPAN = "(axis) => { const { min, max } = charts[0].plot.scales[axis]; return max - min; }"


@pytest.mark.parametrize("language", TITLES)
def test_the_diagnosis_comes_first_and_leads_to_its_chart_and_its_lesson(open_page, language):
    window = open_page("two", 900)
    window.get_by_role("button", name=language).click()
    broken = window.locator(".diagnosis.fail")
    expect(broken.locator("code")).to_have_text("lr-discontinuous")
    assert broken.bounding_box()["y"] < 450
    expect(broken).to_contain_text("18-02")
    broken.get_by_role("link").first.click()
    expect(window.locator("#chart-lr")).to_be_in_viewport()
    differing = window.locator("#differences tr", has_text="config.seed").locator("td")
    assert differing.all_inner_texts() == ["0", "1"]


def test_hovering_moves_nothing_and_shows_the_values_at_the_cursor(open_page):
    window = open_page("two", 900)
    places = (
        "[...document.querySelectorAll('.panel')].map((panel) => panel.getBoundingClientRect().top + scrollY)"
    )
    before = window.evaluate(places)
    over = window.locator(".chart .u-over").first
    over.hover(position={"x": 200, "y": 60})
    assert window.evaluate(places) == before
    tip = window.locator(".chart .tip").first
    expect(tip).to_be_visible()
    assert [float(line) for line in tip.inner_text().split()]


def test_every_axis_is_labelled_to_its_last_step_and_curves_stay_apart(open_page):
    window = open_page("two")
    ticks = window.evaluate(
        "charts.map(({ plot }) => plot.axes.map((axis) => [axis._splits.length, axis._splits.at(-1)]))"
    )
    assert all(count >= 2 for axes in ticks for count, _ in axes)
    assert {axes[0][1] for axes in ticks} == {79}
    drawn = "charts.map((chart) => chart.looks.map((look) => JSON.stringify(look)))"
    weights = window.evaluate(drawn)[4]
    assert len(set(weights)) == len(weights) >= 10
    swatches = window.locator("#chart-weights .legend line")
    shown = [swatch.get_attribute("stroke-dasharray") for swatch in swatches.all()]
    assert shown == window.evaluate("charts[4].looks.map((look) => look.dash.join(' '))")


def test_the_switches_change_the_axis_the_curves_and_who_is_seen(open_page):
    window = open_page("two")
    tools = window.locator("#chart-loss .tools")
    assert window.evaluate("charts[0].plot.scales.y.distr") == 1
    tools.get_by_role("button", name="log").click()
    assert window.evaluate("charts[0].plot.scales.y.distr") == 3
    rough = window.evaluate("charts[0].data[1].at(-1)")
    tools.get_by_role("button", name="smooth").click()
    assert window.evaluate("charts[0].data[1].at(-1)") != rough
    assert "attempt" not in window.locator("#chart-loss .legend").inner_text()
    window.get_by_role("button", name="Show all attempts").click()
    expect(window.locator("#chart-loss .legend")).to_contain_text("undone, attempt 1")
    window.get_by_role("button", name="hide: broken").click()
    seen = window.evaluate("charts[0].shown().map((index) => charts[0].panel.series[index].run)")
    assert set(seen) == {0}


def test_a_chart_is_zoomed_up_and_down_by_mouse_and_by_keyboard(open_page):
    window = open_page("one")
    chart = window.locator(".chart").first
    whole = window.evaluate(SPAN, "y")
    chart.focus()
    window.keyboard.press("ArrowUp")
    assert window.evaluate(SPAN, "y") < 0.6 * whole
    window.keyboard.press("Escape")
    assert window.evaluate(SPAN, "y") == whole
    over = window.locator(".chart .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    window.keyboard.down("Shift")
    window.mouse.move(box["x"] + 100, box["y"] + 50)
    window.mouse.down()
    window.mouse.move(box["x"] + 120, box["y"] + 150)
    window.mouse.up()
    window.keyboard.up("Shift")
    assert window.evaluate(SPAN, "y") < whole and window.evaluate(SPAN, "x") == 79
    over.dblclick()
    assert window.evaluate(SPAN, "y") == whole


def test_a_chart_is_taken_along_as_a_picture_and_as_figures(open_page, tmp_path):
    window = open_page("two")
    for kind, begins in {"PNG": b"\x89PNG", "CSV": b"step,"}.items():
        with window.expect_download() as caught:
            window.get_by_role("button", name=f"Save as {kind}: Loss").first.click()
        file = tmp_path / caught.value.suggested_filename
        caught.value.save_as(file)
        assert file.suffix == f".{kind.lower()}" and file.read_bytes().startswith(begins)
    head, first, *_ = file.read_text().splitlines()
    assert (
        "tiny · training" in head and first.startswith("0,") and len(first.split(",")) == len(head.split(","))
    )
