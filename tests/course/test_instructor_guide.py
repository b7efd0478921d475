"""The instructor's guide: the same commands in both languages, all real; a handout without a solution."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.cli import _prepare
from course.lesson import ROOT
from minigpt.cli.parser import Parser
from minigpt.messages import LANGUAGES

GUIDES = {"en": ROOT / "docs" / "instructor.md", "es": ROOT / "docs" / "instructor.es.md"}
PAGES = ("README.md", "README.es.md", "minigpt/README.md", "docs/minigpt.es.md")
LEARNER = """
import os
from course.landing import write_pages
from course.lesson import ROOT, all_lessons
from course.notebook import CheckFailed, check, lesson
print(ROOT)
write_pages(ROOT)
os.chdir(ROOT / "phase-18/es/18-01-did-it-start")
lesson("18-01")
try:
    check("expected-loss/one", lambda vocab_size: 1.0)
except CheckFailed as failure:
    print(failure)
import math
check("expected-loss/one", lambda vocab_size: math.log(vocab_size))
"""


def commands(code: str) -> list[str]:
    """The command lines of a guide, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", GUIDES[code].read_text(encoding="utf-8"), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_both_guides_give_the_same_commands():
    assert commands("en") == commands("es") and len(commands("en")) > 15


def test_every_course_command_is_one():
    given = [line.split(" > ")[0] for line in commands("en") if line.startswith("course ")]
    assert {line.split()[1] for line in given} == {"build", "check", "export", "grade"}
    for line in [*given, "course site --out public"]:
        name, *words = shlex.split(line)[1:]
        _prepare(name, parser := Parser(f"course {name}", ""))
        parser.parse_args(words)


@pytest.mark.parametrize("file", [*GUIDES.values(), *(ROOT / name for name in PAGES)])
def test_links_lead_to_files(file: Path):
    links = re.findall(r"\]\(([^)#]+)", file.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local and [link for link in local if not (file.parent / link).exists()] == []


def test_what_is_handed_out_works_and_holds_no_solution(tmp_path: Path):
    (line,) = [line for line in commands("en") if line.startswith("git archive")]
    paths = shlex.split(line)[shlex.split(line).index("--") + 1 :]
    listed = subprocess.run(["git", "ls-files", "--", *paths], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.splitlines()
    assert listed.returncode == 0 and "Makefile" in files
    assert [name for name in files if name.startswith(("solutions/", "tests/", "benchmarks/"))] == []
    lessons = [name for name in files if name.startswith("course/lessons/")]
    assert any("/checks/" in name for name in lessons)
    assert [name for name in lessons if "/mutants/" in name or name.endswith("/lesson.py")] == []
    for name in files:
        if name.startswith(("course/", "minigpt/", "phase-")) and (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LEARNER], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}\n") and "✗" in done.stdout and "✓" in done.stdout
    page = (tmp_path / "EMPIEZA.md").read_text(encoding="utf-8")
    assert "1/16" in page and all(f"phase-18/{code}/18-01" in page for code in LANGUAGES)
