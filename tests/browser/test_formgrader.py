"""nbgrader's formgrader before a class that `course grade` graded: grades, an autograded notebook, feedback.

Formgrader's own words stay English; what the learner gets to read is in the learner's language.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from course.grade.classroom import Report, grade_assignment
from course.grade.sandbox import strongest
from course.lesson import ROOT, Lesson, find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

STUDENTS = {"en": "ana", "es": "josé"}
WRONG = "def masked_mean(losses, mask):\n    return losses.mean()\n"  # right but for its masks
HOSTILE = "\n\n".join(
    (
        "[a](javascript:fetch('/formgrader/api/grades'))",
        "<javascript:alert(1)>",
        "<script>document.title = 'taken over'</script>",
        "<img src=x onerror=\"document.title='taken over'\">",
        "![a](http://203.0.113.5/x.png) ![b](https://example.org/x.png) ![c](attachment:lost.png)",
        "<svg onload=\"document.title='taken over'\"><a xlink:href='javascript:alert(1)'>x</a></svg>",
        "<form action='/formgrader/api/grade' method=post><button class=full-credit>ok</button></form>",
        "<button class='btn full-credit'>Full credit</button>",
        "[b](http://127.0.0.1/formgrader/) [c](//example.org) [d](data:text/html,x) [e](/lab?reset)",
        "[f](http://127.0.0.1.nip.io/lab?reset) [g](https://arxiv.org/abs/1) <https://localtest.me/x>",
        "<iframe src='http://203.0.113.5/'></iframe><meta http-equiv=refresh content='0;url=http://203.0.113.5/'>",
    )
)
OWN_CELL = "<img src=x onerror=\"document.title='taken over'\"> [a](javascript:alert(1)) ("
WRITTEN = "Logits: <script>document.title = 'taken over'</script>"
TOKEN = "formgrader"
HERE = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
PATIENCE = 180_000  # milliseconds
SCREENSHOTS = Path(__file__).parent / "screenshots"


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return find_lesson("18-01")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, lesson: Lesson) -> tuple[Path, Report]:
    """A course directory with one submission a language, and a file that is no notebook, graded."""
    root = tmp_path_factory.mktemp("class")
    shutil.copy(ROOT / "course" / "nbgrader_config.py", root)
    solution = json.loads(lesson.built("solutions").read_text(encoding="utf-8"))
    answers = {cell["id"]: cell["source"] for cell in solution["cells"]}
    answers |= {"masked-mean": WRONG, "explain-to-a-colleague": WRITTEN}
    for language, student in STUDENTS.items():
        notebook = json.loads(lesson.built(language).read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("solution"):
                cell["source"] = answers[cell["id"]]
        _hand_in(root, lesson, student, json.dumps(notebook))
    _hand_in(root, lesson, "leo", '{"cells": [')
    notebook = json.loads(lesson.built("en").read_text(encoding="utf-8"))
    next(c for c in notebook["cells"] if c["id"] == "explain-to-a-colleague")["source"] = HOSTILE
    own = {"cell_type": "code", "id": "mine", "metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"].append(own | {"source": OWN_CELL})
    notebook["cells"].append(own | {"id": "more", "source": f"open({str(root / 'pwned')!r}, 'w')"})
    _hand_in(root, lesson, "mallory", json.dumps(notebook))
    return root, grade_assignment(lesson, root, workers=2)


@pytest.fixture(scope="module")
def formgrader(graded: tuple[Path, Report], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Jupyter server in the course directory."""
    own = tmp_path_factory.mktemp("jupyter")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")
    environment = os.environ | {name: str(own / name.lower()) for name in names}
    command = [sys.executable, "-m", "jupyter_server", "--ServerApp.open_browser=False", "--ServerApp.port=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.allow_root={os.geteuid() == 0}"]
    server = subprocess.Popen(
        command, cwd=graded[0], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    address = None
    for line in server.stderr:
        if "http://127.0.0.1:" in line:
            address = "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split("/")[0]
            break
    assert address, "the server did not start"
    yield address
    os.killpg(server.pid, signal.SIGTERM)
    server.stderr.close()
    server.wait(timeout=PATIENCE / 1000)


@pytest.fixture
def desk(browser: Browser) -> Iterator[Page]:
    """A teacher's window, which asks no machine outside for anything."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    problems = []
    page.on("request", lambda asked: asked.url.startswith(HERE) or problems.append(asked.url))
    page.on("response", lambda answer: answer.status >= 400 and problems.append(answer.url))
    yield page
    page.close()
    assert problems == []


def _hand_in(root: Path, lesson: Lesson, student: str, text: str) -> None:
    file = root / "submitted" / student / lesson.assignment / f"{lesson.slug}.ipynb"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


def _submissions(address: str, lesson: Lesson) -> dict[str, str]:
    """Formgrader's ids of the submitted notebooks, by student."""
    path = f"/formgrader/api/submissions/{lesson.assignment}?token={TOKEN}"
    with urllib.request.urlopen(address + path) as answer:
        students = [entry["student"] for entry in json.load(answer)]
    path = f"/formgrader/api/submitted_notebooks/{lesson.assignment}/{lesson.slug}?token={TOKEN}"
    with urllib.request.urlopen(address + path) as answer:
        ids = {entry["student"]: entry["id"] for entry in json.load(answer)}
    assert students == sorted(students) and ids.keys() == set(students)
    return ids


def enter(page: Page, address: str, place: str) -> None:
    """Log in and open a page of the server."""
    page.goto(f"{address}/login?token={TOKEN}&next=%2F{quote(place, safe='')}")


def test_the_gradebook_shows_everybodys_points_and_who_waits_for_a_person(
    desk: Page, formgrader, graded, lesson
):
    enter(desk, formgrader, f"formgrader/manage_submissions/{lesson.assignment}")
    for student, result in graded[1].results.items():
        row = desk.locator("tr", has=desk.get_by_text(student, exact=True))
        expect(row).to_contain_text(f"{result['points']:g} / 22")
        expect(row).to_contain_text("needs manual grading")
    desk.screenshot(path=SCREENSHOTS / "formgrader-submissions.png")
    enter(desk, formgrader, f"formgrader/gradebook/{lesson.assignment}/{lesson.slug}")
    expect(desk.locator("tbody tr")).to_have_count(4)
    desk.screenshot(path=SCREENSHOTS / "formgrader-gradebook.png")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_autograded_notebook_opens_and_takes_a_manual_grade(
    desk: Page, formgrader, graded, lesson, language
):
    student = STUDENTS[language]
    name = _submissions(formgrader, lesson)[student]
    enter(desk, formgrader, f"formgrader/submissions/{name}/")
    passed = lesson.texts.text("init-weights/matrices", language)
    failed = lesson.texts.text("masked-mean/padding", language)
    expect(desk.locator(".output", has_text=f"✓ {passed}").first).to_be_visible()
    wrong = desk.locator(".output", has_text=f"✗ {failed}").first
    wrong.scroll_into_view_if_needed()
    expect(wrong).to_be_in_viewport()
    desk.screenshot(path=SCREENSHOTS / f"formgrader-notebook-{language}.png")
    score = desk.locator("input.score[id='explain-to-a-colleague']")
    score.scroll_into_view_if_needed()
    with desk.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        score.fill("2")
        score.press("Tab")
    desk.screenshot(path=SCREENSHOTS / f"formgrader-written-{language}.png")
    assert desk.title() != "taken over", "the learner's page acted for the teacher"


@pytest.mark.parametrize("language", LANGUAGES)
def test_feedback_is_in_the_learners_language_and_calls_nobody(
    page: Page, formgrader, graded, lesson, screenshot, language
):
    file = f"{STUDENTS[language]}/{lesson.assignment}/{lesson.slug}.html"
    page.goto(f"{formgrader}/files/feedback/{file}?token={TOKEN}")
    points = graded[1].results[STUDENTS[language]]["points"]
    expect(page.locator(".panel-heading").first).to_contain_text(message("grade.label-score", language))
    expect(page.locator(".panel-heading").first).to_contain_text(f"{points} / 22.0")
    wrong = page.get_by_text(f"✗ {lesson.texts.text('masked-mean/padding', language)}").last
    screenshot(f"feedback-top-{language}")
    wrong.scroll_into_view_if_needed()
    expect(wrong).to_be_in_viewport()
    screenshot(f"feedback-{language}")
    words = [message(f"grade.label-{name}", language) for name in ("answer", "cell", "top")]
    expect(page.locator(".nbgrader_cell .panel-heading").first).to_contain_text(words[0])
    expect(heading := page.locator(".panel-heading", has_text="masked-mean_padding")).to_contain_text(
        words[1]
    )
    expect(heading).to_contain_text(words[2])
    assert page.title() != "taken over"


def _grades(address: str, submission: str) -> list:
    with urllib.request.urlopen(
        f"{address}/formgrader/api/grades?submission_id={submission}&token={TOKEN}"
    ) as got:
        return json.load(got)


def test_a_hostile_answer_that_is_opened_and_clicked_changes_no_mark_and_asks_nobody(
    desk: Page, formgrader, lesson
):
    name = _submissions(formgrader, lesson)["mallory"]
    before, dialogs, asked, windows = _grades(formgrader, name), [], [], []
    desk.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    desk.on("popup", lambda window: windows.append(window.url))
    enter(desk, formgrader, f"formgrader/submissions/{name}/")
    answer = desk.locator(".nbgrader_cell:has(#explain-to-a-colleague-comment) .panel-body")
    remarks = desk.locator(".text_cell_render", has_text="About this submission")
    expect(answer).to_contain_text("<script>")
    expect(remarks).to_contain_text("onerror")
    here = desk.url
    desk.on("request", lambda request: asked.append(request.url))
    for place in (answer, remarks):
        assert place.locator("script, svg, form, button, input, iframe, img, meta, a").count() == 0
        place.evaluate("node => { for (const one of [node, ...node.querySelectorAll('*')]) one.click() }")
    answer.scroll_into_view_if_needed()
    desk.screenshot(path=SCREENSHOTS / "formgrader-hostile.png")
    desk.wait_for_load_state("networkidle")
    assert (desk.url, dialogs, windows, asked) == (here, [], [], [])
    assert desk.title() != "taken over" and _grades(formgrader, name) == before


def test_the_autograde_bolt_grades_in_the_sandbox(formgrader, graded, lesson):
    address = f"{formgrader}/formgrader/api/submission/{lesson.assignment}/mallory/autograde?token={TOKEN}"
    with urllib.request.urlopen(urllib.request.Request(address, method="POST")) as answer:
        told = json.load(answer)
    assert told["success"] and "graded now: 0" in told["log"] and "Protection:" in told["log"], told
    assert not (graded[0] / "pwned").exists()
    address = f"{formgrader}/formgrader/?path=submitted%2Fmallory&token={TOKEN}"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address)


def test_a_grade_given_by_hand_survives_grading_again_and_reaches_the_feedback(formgrader, graded, lesson):
    name = _submissions(formgrader, lesson)[STUDENTS["en"]]
    file = graded[0] / "submitted" / STUDENTS["en"] / lesson.assignment / f"{lesson.slug}.ipynb"
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert grade_assignment(lesson, graded[0], workers=2).graded == 1
    for language, points in (("en", "(Score: 16.0 / 22.0)"), ("es", "(Puntos: 16.0 / 22.0)")):
        page = graded[0] / "feedback" / STUDENTS[language] / lesson.assignment / f"{lesson.slug}.html"
        assert points in page.read_text(encoding="utf-8")
    with urllib.request.urlopen(
        f"{formgrader}/formgrader/api/grades?submission_id={name}&token={TOKEN}"
    ) as got:
        grades = json.load(got)
    assert [grade["manual_score"] for grade in grades if grade["name"] == "explain-to-a-colleague"] == [2]
