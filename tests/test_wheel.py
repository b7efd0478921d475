"""The tool's door: the wheel in a bare environment, outside the repository, watches and checks a loop.

The environment holds the wheel and links to what the core depends on, directly or through its dependencies.
Nothing is downloaded, and what only the course needs is not there.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course.lesson import find_lesson
from course.source import read_source

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
SITE = Path(sysconfig.get_path("purelib"))

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links into another environment")

LOOP = """
import torch
from torch import nn
from minigpt.monitor import Monitor

torch.manual_seed(0)
model = nn.Sequential(nn.Embedding(300, 16), nn.Linear(16, 300))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
with Monitor(model, optimizer, vocab_size=300, run_dir="watched") as monitor:
    for step in range(60):
        tokens = torch.randint(300, (8, 17)) // 4
        loss = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss)
    print(monitor.check().verdict)
"""
ABSENT = """
import json, sys
from importlib.util import find_spec
print(json.dumps([name for name in sys.argv[1:] if find_spec(name)]))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The folder of an environment with the wheel, its dependencies, and no more."""
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    for name in ("minigpt", "course"):  # built apart, so that no build folder comes in or is left behind
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    for name in needed():
        link(name, site)
    for name in needed([*CORE, *EXTRAS["notebook"]]) - needed():
        link(name, folder / "notebook")
    return folder


def needed(requirements: list[str] = CORE) -> set[str]:
    """The packages that these dependencies need, themselves included; those of the core if none are given."""
    waiting, seen = [*requirements], set()
    while waiting:
        wanted = Requirement(waiting.pop())
        name = canonicalize_name(wanted.name)
        if name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            waiting += distribution(name).requires or []
        except PackageNotFoundError:  # a build of torch for the CPU lacks CUDA's packages
            continue
        seen.add(name)
    return seen


def link(name: str, site: Path) -> None:
    """Make a package of this environment visible in another's folder of packages."""
    site.mkdir(exist_ok=True)
    for file in distribution(name).files or []:
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not (site / top).exists():
            (site / top).symlink_to(SITE / top)


@dataclass(frozen=True)
class Shell:
    """Runs Python in the bare environment, in an empty folder."""

    python: Path
    folder: Path

    def run(self, *words: object, code: int = 0) -> str:
        """Run `python WORDS`, expect an exit code, and return what it printed."""
        ours = ("PYTHON", "MINIGPT")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        command = [str(word) for word in (self.python, *words)]
        process = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True)
        assert process.returncode == code, process.stdout + process.stderr
        return process.stdout

    def minigpt(self, *words: object, code: int = 0) -> str:
        """Run `minigpt WORDS` likewise."""
        return self.run("-m", "minigpt", *words, code=code)


@pytest.fixture
def shell(bare, tmp_path) -> Shell:
    """The bare environment."""
    return Shell(bare / "venv" / "bin" / "python", tmp_path)


def test_the_bare_environment_lacks_whatever_only_the_course_and_the_tests_need(shell):
    only = [name for name in (*EXTRAS["course"], *EXTRAS["dev"]) if Requirement(name).name not in needed()]
    modules = {canonicalize_name(Requirement(line).name).replace("-", "_") for line in only} - {"setuptools"}
    assert {"jupyterlab", "nbgrader", "matplotlib", "ipywidgets"} <= modules
    assert json.loads(shell.run("-c", ABSENT, *sorted(modules), "minigpt", "torch")) == ["minigpt", "torch"]


def test_an_external_loop_is_watched_and_checked_outside_the_repository(shell, tmp_path):
    (tmp_path / "loop.py").write_text(LOOP, encoding="utf-8")
    verdict = shell.run("loop.py").split()[-1]
    code = {"pass": 0, "unknown": 3}.get(verdict, 1)
    assert json.loads(shell.minigpt("check", "watched", "--json", code=code))["verdict"] == verdict
    assert len((tmp_path / "watched" / "metrics.jsonl").read_text().splitlines()) == 60


def test_train_check_and_dashboard_work_and_lr_find_says_what_it_lacks(shell, tmp_path):
    settings = ("--preset", "tiny", "--steps", 60, "--eval-every", 30)
    shell.minigpt("train", *settings, "--run-dir", "mine")
    assert json.loads(shell.minigpt("check", "mine", "--json"))["verdict"] == "pass"
    shell.minigpt("dashboard", "mine")
    assert "mine" in (tmp_path / "mine" / "dashboard.html").read_text(encoding="utf-8")
    shell.minigpt("lr-find", *settings, code=2)


def test_a_lesson_is_taken_outside_the_repository_with_the_wheel_alone(shell, bare, tmp_path):
    """The code of a release, in an empty folder, where Jupyter's own packages came with the place."""
    lesson = find_lesson("18-01")
    cells = read_source(lesson.folder / "lesson.py")
    setup = [cell.text for cell in cells if cell.setup]
    first = next(cell for cell in cells if cell.role == "solution")
    checks = [cell.text for cell in cells if cell.role == "check" and cell.name.startswith(first.name)]
    code = [f"import sys; sys.path.insert(0, {str(bare / 'notebook')!r})", *setup, first.text, *checks]
    (tmp_path / "cells.py").write_text("\n".join(code), encoding="utf-8")
    assert shell.run("cells.py").count("✓") == len(checks) > 1
    assert not list(tmp_path.glob("*.ipynb"))


LIGHT = [
    ["--help"],
    ["faults"],
    ["faults", "--json"],
    ["card", "--html"],
    ["check", "--help"],
    ["train", "--help"],
    ["sample", "--help"],
    ["lr-find", "--help"],
    ["dashboard", "--help"],
    ["trian"],
    ["train", "--stepz", "3"],
    ["train", "--fault", "none"],
    ["check", "nowhere"],
]
COUNTED = """
import sys
from minigpt.cli import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules, "torch was imported"
"""


def test_what_needs_no_torch_does_not_import_it(shell):
    for words in LIGHT:
        shell.run("-c", COUNTED, *words)
