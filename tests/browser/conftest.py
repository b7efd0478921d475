"""A real Chromium before a real `course.learn`, in a copy of this checkout because notebooks save themselves.

Screenshots go to `tests/browser/screenshots/`, which git ignores: they are there to be looked at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from course.lesson import ROOT

SCREENSHOTS = Path(__file__).parent / "screenshots"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-quic"
).split()
BOTH_CLOSED = "Comm not found for comm id"  # JupyterLab says it where page and kernel close a control at once
PATIENCE = 180_000  # milliseconds for what takes seconds on a quiet machine: only what hangs takes longer
expect.set_options(timeout=PATIENCE)
COPIED = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".jupyter",
    ".progress.jsonl",
    "__pycache__",
    "experiments",
    "build",
    "screenshots",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium or Chrome; without one, skip here and fail in continuous integration."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("the browser tests need Chromium or Chrome on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("learner") / "course", ignore=COPIED))


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, tuple[subprocess.Popen, str]]]:
    """Each language's server and address, where a test has started it; Ctrl-C ends them."""
    servers = {}
    yield servers
    for server, _ in servers.values():
        server.send_signal(signal.SIGINT)
    assert [server.wait(timeout=PATIENCE / 1000) for server, _ in servers.values()] == [0] * len(servers)


@pytest.fixture
def address(checkout: Path, servers: dict[str, tuple[subprocess.Popen, str]]) -> Callable[[str], str]:
    """`address("es")` is what `make aprender` prints."""

    def start(language: str) -> str:
        if language not in servers:
            servers[language] = _serve(checkout, language)
        return servers[language][1]

    return start


@pytest.fixture
def page(browser: Browser, servers: dict[str, tuple[subprocess.Popen, str]]) -> Iterator[Page]:
    """A new window; its test fails if the page logs an error, gets one, or asks another machine."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    problems = []
    page.on("console", lambda entry: _is_error(entry) and problems.append(entry.text))
    page.on(
        "response", lambda answer: answer.status >= 400 and problems.append(f"{answer.status} {answer.url}")
    )
    page.on("request", lambda request: _is_unwanted(request.url) and problems.append(request.url))
    yield page
    page.close()
    for _, address in servers.values():
        _end_kernels(address)
    assert problems == []


@pytest.fixture
def screenshot(page: Page) -> Callable[[str], None]:
    """`screenshot("lesson-es")` saves what the window shows."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return lambda name: page.screenshot(path=SCREENSHOTS / f"{name}.png")


def _serve(checkout: Path, language: str) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "course.learn", "--lang", language, "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    server = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\S+", line):
            return server, found[0]
    raise AssertionError(f"{command} ended with {server.wait()} and printed no address")


def _end_kernels(address: str) -> None:
    """Close every notebook's kernel: each holds 200 to 400 MB, and all tests together open forty."""
    parts = urlsplit(address)
    key = {"Authorization": f"token {parse_qs(parts.query)['token'][0]}"}
    sessions = f"{parts.scheme}://{parts.netloc}/api/sessions"
    with urlopen(Request(sessions, headers=key)) as answer:
        open_now = json.load(answer)
    for session in open_now:
        urlopen(Request(f"{sessions}/{session['id']}", headers=key, method="DELETE")).close()


def _is_error(entry: ConsoleMessage) -> bool:
    return entry.type == "error" and not entry.text.startswith(BOTH_CLOSED)


def _is_unwanted(url: str) -> bool:
    """Return whether something is asked of another machine, or whether JupyterLab could be built again."""
    outside = not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
    return outside or "/lab/api/build" in url
