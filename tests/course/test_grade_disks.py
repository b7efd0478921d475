"""Two graders at once, and disks that are full or may not be written: nothing is lost, nothing doubled."""

import os
import shutil
import subprocess
import sys

import pytest
from without_a_sandbox import scores

from course.grade.sandbox import strongest
from course.lesson import ROOT

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
GRADES_WITHOUT_A_SANDBOX = """
import sys
sys.path.insert(0, "tests/course")
from pathlib import Path
import course.grade.team as team, without_a_sandbox
from course.grade.classroom import grade_assignment
from course.lesson import find_lesson
team.Bench = without_a_sandbox.Benchless
grade_assignment(find_lesson("18-90"), Path(sys.argv[1]), workers=1, built=Path(sys.argv[2]))
"""
EIGHT = ["ana", "eva", *(f"s{number}" for number in range(6))]


@pytest.fixture
def eight(root):
    for name in EIGHT[2:]:
        shutil.copytree(root / "submitted" / "ana", root / "submitted" / name)
    return root


def test_two_graders_at_once_lose_and_double_nothing(eight, small, built):
    command = [sys.executable, "-c", GRADES_WITHOUT_A_SANDBOX, eight, built]
    graders = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [grader.communicate(timeout=600)[1] for grader in graders]
    assert [grader.returncode for grader in graders] == [0, 0], told
    assert scores(eight, small) == dict.fromkeys(EIGHT, 3.0)


FULL_IN_THE_MIDDLE = """
set -e
mount -t tmpfs -o size=900k none {root}
cp -r {source}/. {root}
set +e
{python} -c "$PROGRAM" {root} {built} 2>{out}
echo "rc $?" >>{out}
ls {root}/feedback >>{out}
mount -o remount,size=50m {root}
{python} -c "$PROGRAM" {root} {built} 2>>{out}
echo "rc $?" >>{out}
cp -r {root}/gradebook.db {root}/feedback {kept}
"""


def test_a_disk_that_is_full_in_the_middle_of_a_class_loses_and_doubles_nothing(
    eight, small, built, tmp_path
):
    here, out, kept = tmp_path / "disk", tmp_path / "out", tmp_path / "kept"
    here.mkdir(), kept.mkdir()
    paths = {"root": here, "source": eight, "built": built, "out": out, "kept": kept}
    script = FULL_IN_THE_MIDDLE.format(**paths, python=sys.executable)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    if subprocess.run([*command[:4], "mount", "-t", "tmpfs", "none", here]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PROGRAM": GRADES_WITHOUT_A_SANDBOX}
    subprocess.run(command, cwd=ROOT, env=environment, timeout=600)
    first, second = out.read_text().split("rc 1")
    assert "The disk is full" in first and second.endswith("rc 0\n"), out.read_text()
    some = [name for name in EIGHT if name in second.split()]
    assert 0 < len(some) < len(EIGHT), "the disk was meant to be full in the middle"
    assert scores(kept, small) == dict.fromkeys(EIGHT, 3.0)
    assert sorted(folder.name for folder in (kept / "feedback").iterdir()) == EIGHT


IN_A_DISK_OF_ITS_OWN = """
set -e
mount -t tmpfs -o size=1m none {root}
cp -r {source}/. {root}
cd {root}
case {kind} in
  full) head -c 10m /dev/zero > filler 2>/dev/null || true ;;
  read-only) {python} -c "import sqlite3; sqlite3.connect('gradebook.db')"; mount -o remount,bind,ro {root} ;;
esac
set +e
{python} -m course.cli grade 18-01 --workers 1 2>{out} >/dev/null
echo "rc $?" >>{out}
ls {root}/submitted >>{out}
"""


@pytest.mark.parametrize(
    "kind, language, sentence",
    [("full", "en", "The disk is full"), ("read-only", "es", "el disco es de solo lectura")],
)
def test_a_full_and_a_read_only_disk_are_named(tmp_path, root, kind, language, sentence):
    here, out = tmp_path / "disk", tmp_path / "out"
    here.mkdir()
    script = IN_A_DISK_OF_ITS_OWN.format(root=here, source=root, kind=kind, python=sys.executable, out=out)
    (root / "submitted" / "ana" / "18-01-did-it-start").mkdir(parents=True)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    environment = {key: value for key, value in os.environ.items() if key != "COURSE_LESSONS"}
    environment |= {"PYTHONPATH": str(ROOT), "MINIGPT_LANG": language}
    if subprocess.run([*command[:4], "mount", "-t", "tmpfs", "none", here]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    subprocess.run(command, env=environment, timeout=600)
    text = out.read_text()
    assert sentence in text and "rc 1" in text and "Traceback" not in text, text
    assert text.endswith("ana\neva\n")
