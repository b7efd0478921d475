"""The real command in trouble: two at once, a disk that fills up, processes that the kernel ends.

`test_grade_disks` and `test_grade_limits` have the same without the sandbox, and one part at a time.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from nbgrader.api import Gradebook

from course.grade.sandbox import strongest
from course.lesson import ROOT, find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
LESSON = "19-04"
COMMAND = [sys.executable, "-m", "course.cli", "grade", LESSON]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "MINIGPT_LANG": "en"}
SIX = [f"s{number}" for number in range(6)]


@pytest.fixture
def six(tmp_path):
    """A class of six that has handed in the solution."""
    lesson, root = find_lesson(LESSON), tmp_path / "class"
    for name in SIX:
        file = root / "submitted" / name / lesson.assignment / f"{lesson.slug}.ipynb"
        file.parent.mkdir(parents=True)
        shutil.copy(lesson.built("solutions"), file)
    return root


def require_all(root, full=11.0):
    """See that each has full marks, once, a page and a notebook."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        rows = sorted(
            (e.student.id, e.score) for e in book.assignment_submissions(find_lesson(LESSON).assignment)
        )
    assert rows == [(name, full) for name in SIX]
    for kind in ("feedback", "autograded"):
        assert sorted(p.name for p in (root / kind).iterdir() if p.name[0] != ".") == SIX


def test_two_commands_at_once_lose_and_double_nothing(six):
    both = [
        subprocess.Popen(
            COMMAND, cwd=six, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [one.communicate(timeout=900) for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert all(out.count("11 / 11") == 6 for out, _ in told)
    require_all(six)


FULL_IN_THE_MIDDLE = """
set -e
mount -t tmpfs -o size={size}k none {root}
cp -r {source}/. {root}
cd {root}
set +e
{command} --workers 1 >{out} 2>&1
echo "rc $?" >>{out}
ls {root}/feedback >>{out}
mount -o remount,size=50m {root}
{command} >>{out} 2>&1
echo "rc $?" >>{out}
cp -r {root}/. {kept}
"""


def test_a_disk_that_fills_up_in_the_middle_stops_the_command_which_goes_on_from_there(six, tmp_path):
    here, out, kept = tmp_path / "disk", tmp_path / "out", tmp_path / "kept"
    here.mkdir(), kept.mkdir()
    words = {"root": here, "source": six, "out": out, "kept": kept, "command": " ".join(COMMAND)}
    one = find_lesson(LESSON).built("solutions").stat().st_size / 1000
    # what was handed in, a gradebook, and the pages of two: a feedback page holds the notebook and some more
    words["size"] = round(6 * one + 200 + 2 * (1.2 * one + 65))
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command[:4], "mount", "-t", "tmpfs", "none", here]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    subprocess.run([*command, FULL_IN_THE_MIDDLE.format(**words)], env=ENVIRONMENT, timeout=900)
    first, second = out.read_text().split("rc 1\n")
    assert "The disk is full" in first and "Traceback" not in first + second
    done = second.split("Submissions of")[0].split()
    assert 0 < sum(name in second[: second.index("s0  ")].split() for name in SIX) < 6, done
    assert "graded now: 6" not in second and second.endswith("rc 0\n"), second
    require_all(kept)


def grading(process):
    """What the command has started: the program that sandboxes come from, the sandboxes, their questions."""
    try:
        started = psutil.Process(process.pid).children()
        cradles = [one for one in started if "course.grade.cradle" in " ".join(one.cmdline())]
        sandboxes = [one for cradle in cradles for one in cradle.children()]
        return cradles, sandboxes, [one for sandbox in sandboxes for one in sandbox.children()]
    except psutil.Error:
        return [], [], []


def test_what_stands_between_a_submission_and_its_judge_may_be_killed_and_nobody_loses_a_point(six):
    words = {"cwd": six, "env": ENVIRONMENT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(COMMAND, **words, text=True)
    turn, until = [2, 1, 0, 2], time.monotonic() + 600  # a question, a sandbox, their program, a question
    while process.poll() is None and turn and time.monotonic() < until:
        found = grading(process)[turn[0]]
        if found:
            try:
                found[0].send_signal(signal.SIGKILL)
                turn.pop(0)
            except psutil.Error:
                continue
            time.sleep(1)
        time.sleep(0.01)
    out = process.communicate(timeout=900)[0]
    assert process.returncode == 0 and len(turn) < 4, out
    assert out.count("11 / 11") == 6, out
    require_all(six)
