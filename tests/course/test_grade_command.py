"""What was seen to succeed, handed in by a class and graded by the real command, whose sandbox is killed."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from honest_variants import cell, notebooks
from nbgrader.api import Gradebook
from test_grade import _benchmark

from course.grade.sandbox import strongest
from course.grade.system import children
from course.lesson import ROOT, find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

KINDS = ("loot-and-patch", "uncounted-memory", "harm-others")
LINKS = (
    "[one](javascript:fetch('/formgrader/api/grade')) <javascript:alert(1)> ![far](http://203.0.113.5/x.png)\n\n"
    "<img src=x onerror=alert(1)> <form action='/formgrader/api/grade'><button>ok</button></form>"
)
OWN = "[two](javascript:alert(1)) ![near](https://example.org/x.png) ("
ACTS = re.compile(
    r"""<[a-z][^<>]*(href|src|action)\s*=\s*\\?["']?\s*(javascript:|https?://(203|example)|/formgrader)"""
)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The course directory, the attacks, and what the command said."""
    root, lesson = tmp_path_factory.mktemp("command"), find_lesson("18-01")
    adversary = _benchmark("adversary")
    wanted = {f"{kind}-18-01" for kind in KINDS}
    attacks = [attack for attack in adversary.kinds_for(lesson) if attack.name in wanted]
    adversary.hand_in(root, lesson, attacks)
    mine, _ = notebooks()
    cell(mine, "explain-to-a-colleague")["source"] = LINKS
    mine["cells"].append({"cell_type": "code", "id": "own", "metadata": {}, "outputs": [], "source": OWN})
    file = root / "submitted" / "mallory" / lesson.assignment / f"{lesson.slug}.ipynb"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(mine | {"nbformat_minor": 5}), encoding="utf-8")
    return root, lesson, attacks, grade_and_kill_the_sandbox(root, lesson)


def grade_and_kill_the_sandbox(root, lesson):
    """Run the command; when the first result is there, end its sandbox as the kernel might."""
    command = [sys.executable, "-m", "course.cli", "grade", lesson.id]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINIGPT_LANG": "en"}
    running = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    results = root / "autograded" / ".results" / lesson.assignment
    while not list(results.glob("*.json")) and running.poll() is None:
        os.sched_yield()
    zygotes = [pid for cradle in children(running.pid) for pid in children(cradle)]
    for zygote in zygotes:
        os.kill(zygote, signal.SIGKILL)
    told = running.communicate(timeout=900)[0]
    assert running.returncode == 0 and zygotes, told
    return told


def test_no_attack_earns_a_point_and_nobody_loses_one_to_a_killed_sandbox(graded):
    root, lesson, attacks, told = graded
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        marks = {entry.student.id: entry.score for entry in book.assignment_submissions(lesson.assignment)}
    assert len(attacks) == len(KINDS)
    assert marks == {attack.name: 0 for attack in attacks} | {"aaa-first": 19, "zzz-last": 19, "mallory": 19}
    assert f"graded now: {len(marks)}" in told


def test_nothing_of_an_answer_or_a_remark_acts_on_a_teacher_s_page_or_asks_another_machine(graded):
    root, lesson, _, _ = graded
    for kind, suffix in (("autograded", "ipynb"), ("feedback", "html")):
        file = root / kind / "mallory" / lesson.assignment / f"{lesson.slug}.{suffix}"
        page = file.read_text(encoding="utf-8")
        assert "javascript:" in page, "what was written is shown as text"
        assert not ACTS.search(page) and "<form" not in page.partition("panel-body")[2]
