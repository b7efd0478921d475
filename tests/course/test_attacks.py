"""No attack of `benchmarks/adversary.py` is blind: it is run, and it sees what nothing keeps from it.

Of a cell's loose statements a question runs only those that its answer uses, so an attack that is not in a
definition may never happen; and a sandbox that holds looks just like an attack that looks at nothing.
"""

import subprocess
import sys

import pytest

from course.cells import Program, plain_python
from course.grade.sandbox import strongest
from course.grade.system import NEWIPC
from course.lesson import ROOT, find_lesson

sys.path.insert(0, str(ROOT / "benchmarks"))
from attacks import CODE  # noqa: E402
from attacks_kinds import CARRY, kinds_for  # noqa: E402

HOSTILE = ("cheat", "leak", "sabotage", "bomb")


def cut(lesson, cells):
    """The exercises of which a question would leave lines out."""
    names = {check.exercise: {check.answer} for check in lesson.checks.values()}
    found = []
    for exercise, source in cells.items():
        run = Program([(exercise, source)], names).cells(exercise)
        if " ".join(text for _, text in run).split() != plain_python(source).split():
            found.append(exercise)
    return found


@pytest.mark.parametrize("name", ["18-01", "18-07"])  # functions, and classes
def test_every_line_of_an_attack_is_run(name):
    lesson = find_lesson(name)
    attacks = kinds_for(lesson) + (CODE if lesson.id == "18-01" else [])
    lost = {a.name: cut(lesson, a.cells) for a in attacks if a.kind in HOSTILE}
    assert {name: left for name, left in lost.items() if left} == {}


@pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
def test_the_attack_that_carries_text_sees_it_where_nothing_keeps_it_out(tmp_path):
    alone = (
        f"import ctypes; ctypes.CDLL(None).unshare({NEWIPC})\n"  # what it makes is gone with it
        if strongest() == "namespaces"
        else ""
    )
    told = []
    for exercise in ("one", "other"):
        code = CARRY.replace("EXERCISE", exercise).replace('"/dev/shm/x", "/tmp/x", "/scratch/x", ', "")
        code = f"{alone}{code}_carry()\n"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        told.append(done.stdout)
    assert "a file" not in told[0] and "LEAK a file" in told[1], told
    for way in ("shared memory made", "queue made", "semaphore made", "abstract socket", "memfd"):
        assert f"LEAK {way}" in told[0], way
