"""Hostile and broken submissions of lesson 18-01 against `course grade`: what does each one get?

    python benchmarks/adversary.py                # all of them, one line each, and the four bars
    python benchmarks/adversary.py --only bomb    # one kind
    python benchmarks/adversary.py --stock        # the same files through stock nbgrader, which takes long

A submission is the reference solution with something done to it, so the honest rest of it must keep its
points: exactly the checks in `lost` may be lost. Bars: no cheat scores, nothing leaks, nobody else is harmed,
no right answer is marked wrong, everybody gets a result.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from attacks import CODE, Attack  # benchmarks/attacks.py
from attacks_files import FILES

from course.grade.classroom import grade_assignment, read_notebook
from course.lesson import ROOT, Lesson, find_lesson

ATTACKS = CODE + FILES
SECONDS = 8.0  # a question's wall clock here; far above the second that an honest one takes
SECRET = "the-gradebook-of-everybody"
MARK = "61803"  # seconds that a process left behind sleeps; names it in the process table
NEIGHBOURS = ("aaa-first", "zzz-last")


@dataclass
class Outcome:
    """What one attack got."""

    attack: Attack
    lost: set[str] = field(default_factory=set)
    leaked: bool = False
    seen: bool = True

    @property
    def expected(self) -> set[str]:
        """The checks that should be lost."""
        return self.attack.lost

    @property
    def right(self) -> bool:
        """Whether it got what it should."""
        return self.seen and not self.leaked and self.lost == self.expected


def hand_in(root: Path, lesson: Lesson, attacks: list[Attack]) -> None:
    """Write every submission, two honest neighbours and a secret below `root`."""
    solution = json.loads(lesson.built("solutions").read_text(encoding="utf-8"))
    release = json.loads(lesson.built("en").read_text(encoding="utf-8"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solution["cells"]}
    for cell in release["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = answers[cell["id"]]
    (root / "gradebook-secret.txt").write_text(SECRET)
    honest = [Attack(name, "right") for name in NEIGHBOURS]
    for attack in [*honest, *attacks]:
        folder = root / "submitted" / attack.name / lesson.assignment
        folder.mkdir(parents=True)
        notebook = json.loads(json.dumps(release))
        for cell in notebook["cells"]:
            if cell["id"] in attack.cells:
                cell["source"] = attack.cells[cell["id"]].replace("ROOT", str(root)).replace("MARK", MARK)
        file = folder / f"{lesson.slug}.ipynb"
        content = attack.spoil(notebook, file) if attack.spoil else notebook
        if isinstance(content, dict):
            content = json.dumps(content).encode()
        if content is not None:
            file.write_bytes(content)


def run(
    root: Path, lesson: Lesson, attacks: list[Attack], workers: int = 2, seconds: float = SECONDS
) -> tuple:
    """Grade them; return the outcomes and sentences about harm done."""
    hand_in(root, lesson, attacks)
    before = _snapshot(root)
    report = grade_assignment(lesson, root, workers=workers, seconds=seconds)
    outcomes = []
    for attack in attacks:
        result = report.results.get(attack.name)
        if result is None:
            outcomes.append(Outcome(attack, seen=False))
            continue
        lost = {name for name, verdict in result["checks"].items() if not verdict["passed"]}
        told = json.dumps([result["checks"], result["notes"], result["problem"]])
        outcomes.append(Outcome(attack, lost, "LEAK" in told or SECRET in told))
    return outcomes, _harm(root, before, report)


def _snapshot(root: Path) -> dict[str, bytes]:
    files = [file for file in root.rglob("*") if file.is_file() and not file.is_symlink()]
    return {str(file): file.read_bytes() for file in files if file.stat().st_size < 10_000_000}


def _harm(root: Path, before: dict[str, bytes], report: object) -> list[str]:
    harm = [
        f"lost: {name}"
        for name in NEIGHBOURS
        if report.results[name]["points"] != report.results[name]["maximum"]
    ]
    after = _snapshot(root)
    harm += [f"changed: {name}" for name, content in before.items() if after.get(name) != content]
    harm += [f"new file: {name}" for name in after if "hacked" in name]
    harm += [f"still running: {text}" for text in running(MARK)]
    harm += [
        f"no result: {folder.name}"
        for folder in (root / "submitted").iterdir()
        if folder.name not in report.results
    ]
    return harm


def running(mark: str) -> list[str]:
    """The command lines that hold the mark, and every process of the sandbox's users."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if mark in text or 61_000 <= folder.stat().st_uid < 62_000:
                    found.append(f"{folder.name} {text[:60]}")
            except OSError:
                continue
    return found


def stock(root: Path, lesson: Lesson, attacks: list[Attack]) -> dict[str, str]:
    """Each submission alone through stock nbgrader, in a course directory of its own."""
    found = {}
    for attack in attacks:
        if attack.kind in ("leak", "sabotage", "bomb"):
            found[attack.name] = "not tried: nothing would hold it"
            continue
        with tempfile.TemporaryDirectory() as name:
            course = Path(name)
            shutil.copytree(
                ROOT / "solutions", course / "solutions", ignore=shutil.ignore_patterns("experiments")
            )
            shutil.copy(ROOT / "course" / "nbgrader_config.py", course)
            source = root / "submitted" / attack.name
            shutil.copytree(source, course / "submitted" / attack.name, symlinks=True)
            command = [sys.executable, "-m", "nbgrader"]
            subprocess.run(
                [*command, "generate_assignment", lesson.assignment], cwd=course, capture_output=True
            )
            try:
                done = subprocess.run(
                    [*command, "autograde", lesson.assignment], cwd=course, capture_output=True, timeout=300
                )
            except subprocess.TimeoutExpired:
                found[attack.name] = "hangs"
                continue
            found[attack.name] = _stock_score(course, lesson, attack) if done.returncode == 0 else "no result"
    return found


def _stock_score(course: Path, lesson: Lesson, attack: Attack) -> str:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        notebook = book.find_submission_notebook(lesson.slug, lesson.assignment, attack.name)
        return f"{notebook.code_score:g}"


def _worth(names: set[str], points: dict[str, float]) -> float:
    return sum(points[name.replace("/", "_")] for name in names)


def main() -> int:
    """Run the suite; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--stock", action="store_true", help="stock nbgrader too")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    lesson = find_lesson("18-01")
    attacks = [attack for attack in ATTACKS if options.only in (None, attack.kind)]
    release = read_notebook(lesson.built("en"))
    points = {
        c.id: c.metadata.nbgrader.points
        for c in release.cells
        if c.metadata.get("nbgrader", {}).get("locked")
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.chmod(root, 0o755)  # nothing but the sandbox keeps a learner out
        outcomes, harm = run(root, lesson, attacks, options.workers)
        compared = stock(root, lesson, attacks) if options.stock else {}
    total = sum(points.values())
    for outcome in outcomes:
        sign = "ok  " if outcome.right else "FAIL"
        got, fair = total - _worth(outcome.lost, points), total - _worth(outcome.expected, points)
        more = f"   stock {compared[outcome.attack.name]}" if compared else ""
        who = f"{outcome.attack.kind:9} {outcome.attack.name:34}"
        print(f"{sign} {who} {got:4g} of {total:g}, fair {fair:4g}{more}")
        if not outcome.right:
            print("     ", "leaked" if outcome.leaked else sorted(outcome.lost ^ outcome.expected))
    bars = {
        "cheats that score": sum(o.expected - o.lost != set() for o in outcomes),
        "leaks": sum(o.leaked for o in outcomes),
        "harm": len(harm),
        "right answers marked wrong": sum(o.lost - o.expected != set() for o in outcomes),
        "without a result": sum(not o.seen for o in outcomes),
    }
    print(f"\n{len(outcomes)} submissions;", ", ".join(f"{name}: {count}" for name, count in bars.items()))
    for sentence in harm:
        print("  ", sentence)
    return int(any(bars.values()))


if __name__ == "__main__":
    sys.exit(main())
