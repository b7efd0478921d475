"""`make learn` behind its address: the page it writes, the port it takes, what it says when it cannot."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

from course.landing import PAGES, page, write_pages
from course.learn import DEFAULT_PORT, KERNEL_SETTINGS, main
from course.lesson import ROOT, find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES


@pytest.fixture
def taken_port():
    """A port of 127.0.0.1 that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize("code", LANGUAGES)
def test_page_links_to_every_lesson_in_both_languages(built: Path, lessons: Path, code: str):
    lesson = find_lesson("18-90")
    text = write_pages(built)[code].read_text(encoding="utf-8")
    links = dict(re.findall(r"\[(.+?)\]\((.+?)\)", text))
    assert links == {
        lesson.title[each]: f"phase-18/{each}/18-90-small-model/small-model.ipynb" for each in LANGUAGES
    }
    assert all((built / path).is_file() for path in links.values())


@pytest.mark.parametrize("code", LANGUAGES)
def test_page_puts_its_own_language_first_and_has_the_other_too(code: str):
    text = page([], code)
    own, other = (message("learn.how", each) for each in (code, *(set(LANGUAGES) - {code})))
    assert 0 < text.index(own.strip()) < text.index(other.strip())


def test_page_leaves_out_a_lesson_that_is_not_built(tmp_path: Path, lessons: Path):
    assert "18-90" not in write_pages(tmp_path)["en"].read_text(encoding="utf-8")


@pytest.mark.parametrize("code", LANGUAGES)
def test_port_asked_for_and_taken_is_refused_in_one_sentence(taken_port: int, code: str, capsys):
    assert main(["--lang", code, "--no-browser", "--port", str(taken_port)]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and str(taken_port) in error
    assert message("learn.port-taken", code, port=taken_port, reason="…").split("(")[0] in error


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--port", "0"], "“0” is not a port"),
        (["--port", "70000"], "“70000” is not a port"),
        (["--port", "http"], "“http” is not a port"),
        (["--lang", "sp"], "Did you mean “es”?"),
        (["--browser"], "--browser"),
        (["--prot", "3"], "Did you mean “--port”?"),
        (["--port"], "python -m course.learn --help"),
    ],
)
def test_what_is_no_argument_is_refused_in_one_sentence(arguments: list[str], said: str, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_kernel_of_make_learn_explains_itself_before_any_cell_ran(
    tmp_path: Path, lessons: Path, monkeypatch
):
    (tmp_path / "ipython" / "profile_default").mkdir(parents=True)
    (tmp_path / "ipython" / "profile_default" / "ipython_config.py").write_text(KERNEL_SETTINGS)
    book = v4.new_notebook(metadata={"lesson": {"id": "18-90", "lang": "es"}})
    book.cells = [v4.new_code_cell('check("expected-loss/value", expected_loss)')]
    nbformat.write(book, tmp_path / "mine.ipynb")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "mine.ipynb"))
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, kernel_name="python3", allow_errors=True, resources=place).execute()
    (error,) = book.cells[0].outputs
    heading = "18-90 · Una lección pequeña"
    shown = " ".join("\n".join(error.traceback).split())
    assert shown == message("lesson.not-made", "es", name="check", heading=heading)


def test_without_a_port_another_is_found_served_and_left_by_ctrl_c():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", DEFAULT_PORT))
            other.listen()
        except OSError:
            pass  # taken by somebody else: just as well
        server = subprocess.Popen(
            [sys.executable, "-m", "course.learn", "--lang", "es", "--no-browser"],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        taken, ready = server.stdout.readline(), server.stdout.readline()
        try:
            address = re.search(
                rf"(http://127\.0\.0\.1:(\d+)/lab/tree/{PAGES['es']})\?token=\w{{32}}$", ready
            )
            assert (
                taken == message("learn.port-taken-another", "es", port=DEFAULT_PORT, other=address[2]) + "\n"
            )
            assert urllib.request.urlopen(address[0], timeout=600).status == 200
            with pytest.raises(urllib.error.HTTPError, match="403"):  # nobody enters without the token
                urllib.request.urlopen(address[1].replace("/lab/tree", "/api/contents"), timeout=600)
        finally:
            server.send_signal(signal.SIGINT)
            out, error = server.communicate(timeout=600)
    assert (server.returncode, out, error) == (0, message("learn.stopped", "es") + "\n", "")
