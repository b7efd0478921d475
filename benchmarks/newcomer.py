"""How long a newcomer takes from `make learn` to the first broken model, the environment being installed.

    python benchmarks/newcomer.py              # in English
    python benchmarks/newcomer.py --lang es

A scripted learner in Chromium: starts the course in a copy of this checkout, clicks the first lesson on the
landing page, runs its cells one by one with Shift + Enter, reads each text at 220 words a minute, and stops
where the first model is broken and the stability check has named why. Printed are the seconds of the machine
and the minutes of reading. The bar is ten minutes together; the exit status is 1 when it is missed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect, sync_playwright

from course.lesson import ROOT, find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES

BAR = 10.0  # minutes
LESSON, LAST = "18-00", "break-it"  # the cell that trains the first broken model and walks the tree
WORDS_A_MINUTE = 220
PATIENCE = 600_000  # milliseconds
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".jupyter", ".progress.jsonl", "__pycache__", "experiments", "build"
)


def serve(checkout: Path, code: str) -> tuple[subprocess.Popen, str]:
    """Start `course.learn` as `make learn` does; return the process and the address that it prints."""
    command = [sys.executable, "-m", "course.learn", "--lang", code, "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    server = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\S+", line):
            return server, found[0]
    raise SystemExit("the server printed no address")


def take(page: Page, address: str, checkout: Path, code: str) -> int:
    """Go from the landing page to the broken model; return how many words there were to read."""
    lesson = find_lesson(LESSON)
    page.goto(address)
    expect(page.locator(".jp-RenderedMarkdown h1")).to_contain_text(message("learn.title", code))
    page.locator(".jp-RenderedMarkdown").get_by_role("link", name=lesson.title[code], exact=True).click()
    page.locator(".jp-NotebookPanel:visible .jp-Notebook").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']:visible").wait_for()
    cells = nbformat.read(lesson.built(code, checkout), as_version=4).cells
    end = next(place for place, cell in enumerate(cells) if cell.id == LAST)
    page.locator(".jp-Cell").first.click()
    for _ in cells[: end + 1]:
        page.keyboard.press("Shift+Enter")
    broken = page.locator(".jp-Cell").nth(end)
    broken.scroll_into_view_if_needed()
    expect(broken).to_contain_text("future-leak")
    return sum(len(cell.source.split()) for cell in cells[: end + 1] if cell.cell_type == "markdown")


def main() -> int:
    """Measure once, print, and return 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lang", choices=LANGUAGES, default=LANGUAGES[0])
    code = parser.parse_args().lang
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise SystemExit("this needs Chromium or Chrome on the PATH")
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(shutil.copytree(ROOT, Path(folder) / "course", ignore=LEFT_OUT))
        started = time.monotonic()
        server, address = serve(checkout, code)
        ready = time.monotonic()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                page.set_default_timeout(PATIENCE)
                words = take(page, address, checkout, code)
                browser.close()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
        ended = time.monotonic()
    reading = words / WORDS_A_MINUTE
    minutes = (ended - started) / 60 + reading
    print(f"language                              {code}")
    print(f"until the address is printed          {ready - started:6.1f} s")
    print(f"until the first model is broken       {ended - started:6.1f} s, everything run without a pause")
    print(f"text to read until then               {words:6} words, {reading:.1f} min")
    print(f"minutes to the first broken model     {minutes:6.1f}   (bar {BAR:g})")
    return 1 if minutes > BAR else 0


if __name__ == "__main__":
    sys.exit(main())
