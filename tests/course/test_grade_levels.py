"""Grading at every level of protection that this machine has, killed in the middle, and without any."""

import json
import os
import shutil
import signal
import subprocess
import sys

import nbformat
import pytest

from course.grade import sandbox
from course.grade.classroom import grade_assignment
from course.grade.judge import grade
from course.grade.normalise import HandedIn
from course.grade.probe_side import probe_side, probe_sides
from course.grade.workshop import Workshop
from course.lesson import ROOT, find_lesson
from course.messages import CourseError

LEAVES_A_DAEMON = """
def expected_loss(vocab_size):
    import os
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "27182"])
        os._exit(0)
    open("/etc/hostname").read()
"""


@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_a_level_grades_right_answers_right_and_leaves_nothing_running(small, built, level):
    if sandbox.strongest() != "namespaces":
        pytest.skip("this machine does not have both")
    release = nbformat.read(small.built("en", built), as_version=4)
    right = "def expected_loss(vocab_size):\n    return math.log(vocab_size)\n"
    with Workshop(small, release, level, seconds=20) as workshop:
        fair = grade("ana", HandedIn(cells={"expected-loss": right}), release, workshop)
        hostile = grade("eva", HandedIn(cells={"expected-loss": LEAVES_A_DAEMON}), release, workshop)
    assert (fair["points"], hostile["points"]) == (3.0, 0.0)
    assert "Error" in hostile["checks"]["expected-loss/value"]["text"]
    assert subprocess.run(["pgrep", "-x", "-f", "sleep 27182"], capture_output=True).returncode == 1


@pytest.mark.skipif(sandbox.strongest() == "none", reason="this machine has no sandbox")
def test_an_environment_that_is_a_link_to_another_place_is_shown_in_the_sandbox(
    small, built, tmp_path, monkeypatch
):
    (tmp_path / "venv").symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    release = nbformat.read(small.built("en", built), as_version=4)
    file = str(tmp_path / "venv" / "pyvenv.cfg")
    code = f"def expected_loss(v):\n    open({file!r}).close()\n    return 1\n"
    case = {"check": "expected-loss/value", "case": {"vocab_size": 2}, "seed": 1}
    with Workshop(small, release) as workshop:
        assert workshop.ask([["expected-loss", code]], [case])[0].get("output") == {"loss": 1.0}


def test_without_a_sandbox_nothing_is_graded_unless_trusted(small, built, tmp_path, monkeypatch):
    monkeypatch.setattr("course.grade.classroom.strongest", lambda: "none")
    with pytest.raises(CourseError, match="--trust-submissions"):
        grade_assignment(small, tmp_path)


def test_a_probe_side_holds_no_case_no_judge_and_no_expected_value():
    folder = find_lesson("18-01").folder / "checks"
    sides = probe_sides(folder)
    for name, words in {"init_weights": ("SLACK", "std-off"), "start_verdict": ("too-high", "bands")}.items():
        source = (folder / f"{name}.py").read_text(encoding="utf-8")
        assert "def probe" in sides[name].source
        for word in ("def judge", "def cases", *words):
            assert word in source and word not in sides[name].source
    keys = sides["start_verdict"].keys["Healthy"]
    assert keys == {"loss", "vocab_size"}, "the expected verdict stays at home"


def test_what_a_probe_imports_from_a_neighbour_comes_along_stripped():
    shared = "EXPECTED = 7\n\ndef used():\n    return 1\n\ndef judged():\n    return EXPECTED\n"
    check = (
        "from .shared import judged, used\n\nclass Value(Check):\n    def probe(self, answer, case):\n"
        "        return used()\n\n    def judge(self, case, output):\n        return output == judged()\n"
    )
    side = probe_side(check, {"shared": shared})
    assert "def used" in side.source and "import" not in side.source
    assert "judged" not in side.source and "EXPECTED" not in side.source


def test_a_probe_side_keeps_the_tools_that_a_probe_uses_whole_and_no_other():
    tools = "class {0}:\n    def open(self):\n        return 1\n\n\n"
    check = "class Value(Check):\n    def probe(self, answer, case):\n        return Used().open()\n"
    side = probe_side(tools.format("Used") + tools.format("Unused") + check)
    assert "class Used" in side.source and "def open" in side.source and "Unused" not in side.source
    assert set(side.keys) == {"Value"}


@pytest.mark.skipif(sandbox.strongest() == "none", reason="this machine has no sandbox")
def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path):
    lesson = find_lesson("18-01")
    for number in range(3):
        file = tmp_path / "submitted" / f"s{number}" / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        shutil.copy(lesson.built("solutions"), file)
    command = [sys.executable, "-m", "course.cli", "grade", "18-01", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = tmp_path / "autograded" / ".results" / lesson.assignment / "s0.json"
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while not first.exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = first.stat().st_mtime_ns
    report = grade_assignment(lesson, tmp_path)
    assert report.graded < 3 and len(report.results) == 3
    assert first.stat().st_mtime_ns == written
    assert all(result["points"] == result["maximum"] for result in report.results.values())


KILLS_WHAT_IT_CAN = """
def expected_loss(vocab_size):
    import os, resource, signal
    others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for process in others:
        try:
            resource.prlimit(process, resource.RLIMIT_CPU, (1, 1))
        except (OSError, ValueError):
            pass
        try:
            os.setpriority(os.PRIO_PROCESS, process, 19)
        except OSError:
            pass
    os.kill(os.getppid(), signal.SIGKILL)
"""
FILLS_THE_DISK = """
def expected_loss(vocab_size):
    for number in range(10**9):
        with open(f"{number}.bin", "wb") as file:
            file.write(b"x" * 10**7)
"""
WITHOUT_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'  # of this command alone


@pytest.mark.skipif(sandbox.strongest() != "namespaces", reason="this machine does not have both levels")
@pytest.mark.skipif(not shutil.which("unshare"), reason="nothing here takes namespaces away")
def test_the_command_loses_nobody_where_there_are_no_namespaces(tmp_path):
    lesson = find_lesson("18-01")
    answers = {"s0": None, "s1": KILLS_WHAT_IT_CAN, "s2": None, "s3": FILLS_THE_DISK}
    for student, answer in answers.items():
        notebook = nbformat.read(lesson.built("solutions"), as_version=4)
        for cell in notebook.cells:
            if answer and cell.id == "expected-loss":
                cell.source = answer
        file = tmp_path / "submitted" / student / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", WITHOUT_NAMESPACES, "sh"]
    command += [sys.executable, "-m", "course.cli", "grade", "18-01"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "autograded" / ".results" / lesson.assignment
    found = {student: json.loads((folder / f"{student}.json").read_text()) for student in answers}
    assert {result["level"] for result in found.values()} == {"landlock"}
    assert found["s0"]["points"] == found["s2"]["points"] == found["s0"]["maximum"]
    assert 0 < found["s1"]["points"] < found["s1"]["maximum"]
    assert found["s3"]["checks"]["expected-loss/course"]["key"] == "grade.disk"
    assert not any(
        v["passed"] for name, v in found["s1"]["checks"].items() if name.startswith("expected-loss/")
    )
