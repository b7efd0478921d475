"""What a killed grader leaves in the temporary folder goes with the next start; what is somebody's stays."""

import os
import subprocess
import sys
import tempfile

import pytest

from course.grade.scratch import claim, release
from course.lesson import ROOT

CLAIMS = "from course.grade.scratch import claim; print(claim()[0], flush=True); input()"


@pytest.fixture
def graders(tmp_path, monkeypatch):
    """`graders()` starts one more process that has claimed its folder; returns both."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    processes = []

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        processes.append(
            subprocess.Popen([sys.executable, "-c", CLAIMS], env=environment, text=True, **pipes)
        )
        return processes[-1], processes[-1].stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_only_what_certainly_belongs_to_no_living_grader_goes(graders, tmp_path):
    killed, left = graders()
    living, owned = graders()
    (tmp_path / "grade-notes").mkdir()  # no grader's, or one's that has just begun
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    (tmp_path / "grade-link").symlink_to(tmp_path / "elsewhere")
    killed.kill()
    killed.wait()
    assert os.path.exists(left)
    mine, lock = claim()
    assert {str(path) for path in tmp_path.iterdir()} == {
        *(mine, owned),
        *(str(tmp_path / name) for name in ("grade-notes", "grade-link", "elsewhere")),
    }
    assert (tmp_path / "elsewhere" / "lock").exists()
    release(mine, lock)
    assert living.poll() is None and not os.path.exists(mine)
