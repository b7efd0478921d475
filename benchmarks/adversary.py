"""Hostile and broken submissions of every lesson against `course grade`: what does each one get?

    python benchmarks/adversary.py                       # all of them, one line each, and the five bars
    python benchmarks/adversary.py --lessons 18-05 18-07 # of these lessons
    python benchmarks/adversary.py --only bomb           # one kind; --without bomb: all others
    python benchmarks/adversary.py --stock               # stock nbgrader beside it, in containers of its own
    python benchmarks/adversary.py --stock --sample 3    # three of each kind

Lesson 18-01 has attacks of its own (`attacks.py`, `attacks_files.py`); every lesson has the kinds of
`attacks_kinds.py`, each on all its exercises at once. A submission of the first is the reference solution
with something done to it, so the honest rest of it must keep its points: exactly the checks in `lost` may be
lost. Bars: no cheat scores, nothing leaks, nobody else is harmed, no right answer is marked wrong, everybody
gets a result.

Stock nbgrader gets each submission in a container of its own (benchmarks/stock.py), without the training
cells that no check needs (they would take it half a minute each).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from attacks import CODE, Attack  # benchmarks/attacks.py
from attacks_files import FILES
from attacks_kinds import kinds_for
from stock import outcome as stock_outcome

from course.grade.classroom import grade_assignment, read_notebook
from course.grade.system import children
from course.lesson import ROOT, Lesson, all_lessons, find_lesson
from course.source import read_source

ATTACKS = CODE + FILES
SECONDS = 8.0  # a question's wall clock here; far above the second that an honest one takes
SECRET = "the-gradebook-of-everybody"
MARK = f"61803.{os.getpid()}"  # seconds that a process left behind sleeps; names it among all processes
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


def hand_in(root: Path, lesson: Lesson, attacks: list[Attack], cells: set[str] | None = None) -> None:
    """Write every submission, two honest neighbours and a secret below `root`; of code only those `cells`."""
    solution = json.loads(lesson.built("solutions").read_text(encoding="utf-8"))
    release = json.loads(lesson.built("en").read_text(encoding="utf-8"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solution["cells"]}
    for cell in release["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = answers[cell["id"]]
    if cells is not None:
        kept = [cell for cell in release["cells"] if cell["cell_type"] != "code" or cell["id"] in cells]
        release["cells"] = kept
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
    due = _neighbours_due(lesson, seconds)
    hand_in(root, lesson, attacks)
    before = _snapshot(root)
    with _scratch() as scratch:
        report = grade_assignment(lesson, root, workers=workers, seconds=seconds)
        stayed = running(MARK, scratch) + sandboxes()
    outcomes = []
    for attack in attacks:
        result = report.results.get(attack.name)
        if result is None:
            outcomes.append(Outcome(attack, seen=False))
            continue
        lost = {name for name, verdict in result["checks"].items() if not verdict["passed"]}
        told = json.dumps([result["checks"], result["notes"], result["problem"]])
        outcomes.append(Outcome(attack, lost, "LEAK" in told or SECRET in told))
    return outcomes, _harm(root, before, report, stayed, due)


@contextmanager
def _scratch() -> Iterator[str]:
    """A temporary folder for the grader, by which its processes are known from those of any other."""
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="adversary-") as folder:
        tempfile.tempdir = folder
        os.chmod(folder, 0o755)
        try:
            yield folder
        finally:
            tempfile.tempdir = usual


def _snapshot(root: Path) -> dict[str, bytes]:
    files = [file for file in root.rglob("*") if file.is_file() and not file.is_symlink()]
    return {str(file): file.read_bytes() for file in files if file.stat().st_size < 10_000_000}


def _neighbours_due(lesson: Lesson, seconds: float) -> dict[str, float]:
    """What the neighbours get in peace: in a capstone the solution's charts are those of another ward."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        hand_in(Path(folder), lesson, [])
        results = grade_assignment(lesson, Path(folder), workers=1, seconds=seconds).results
    due = {name: results[name]["points"] for name in NEIGHBOURS}
    drawn = any(check.written_out for check in lesson.checks.values())
    assert drawn or all(results[name]["points"] == results[name]["maximum"] for name in NEIGHBOURS), due
    return due


def _harm(
    root: Path, before: dict[str, bytes], report: object, stayed: list[str], due: dict[str, float]
) -> list[str]:
    harm = [f"lost: {name}" for name in NEIGHBOURS if report.results[name]["points"] != due[name]]
    after = _snapshot(root)
    harm += [f"changed: {name}" for name, content in before.items() if after.get(name) != content]
    harm += [f"new file: {name}" for name in after if "hacked" in name]
    harm += [f"still running: {text}" for text in stayed]
    harm += [
        f"no result: {folder.name}"
        for folder in (root / "submitted").iterdir()
        if folder.name not in report.results
    ]
    return harm


def command_line(pid: int | str) -> str:
    """How a process was started; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def running(*marks: str) -> list[str]:
    """The processes whose command line holds one of the marks."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            text = command_line(folder.name)
            if any(mark in text for mark in marks):
                found.append(f"{folder.name} {text[:60]}")
    return found


def sandboxes() -> list[str]:
    """The sandboxes of this process: children of those of its children that are `course.grade.cradle`."""
    cradles = [pid for pid in children(os.getpid()) if "course.grade.cradle" in command_line(pid)]
    return [f"{pid} a sandbox" for cradle in cradles for pid in children(cradle)]


def stock(lesson: Lesson, attacks: list[Attack], workers: int) -> Iterator[tuple[str, str]]:
    """By name what stock nbgrader makes of each submission: its points, or a word for what happened."""
    cells = read_source(lesson.folder / "lesson.py")
    needed = {cell.grade_id for cell in cells if cell.setup or cell.role in ("solution", "check")}
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(workers) as pool:
        start = Path(name, "start")
        source = lesson.built("solutions", start)
        source.parent.mkdir(parents=True)
        shutil.copy(lesson.built("solutions"), source)
        shutil.copy(ROOT / "course" / "nbgrader_config.py", start)
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", lesson.assignment]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=start, env=environment, capture_output=True, check=True)

        def one(attack: Attack) -> str:
            course = shutil.copytree(start, Path(name, f"of-{attack.name}"))
            hand_in(course, lesson, [attack], needed)
            return stock_outcome(course, lesson.assignment, lesson.slug, attack.name, MARK)

        yield from zip([attack.name for attack in attacks], pool.map(one, attacks), strict=True)


def _stock_bars(compared: dict[str, str], due: dict[str, float]) -> dict[str, int]:
    """How often stock nbgrader misses each bar; `due` are the points of the honest part."""
    points = [(float(got), due[name]) for name, got in compared.items() if got[0].isdigit()]
    words = list(compared.values())
    return {
        "score more than their honest part": sum(got > fair for got, fair in points),
        "leaks": words.count("leaks"),
        "score less than their honest part": sum(got < fair for got, fair in points),
        "without a result": words.count("no result") + words.count("hangs"),
        "harm others": words.count("harms"),
    }


def spread(attacks: list[Attack], count: int) -> list[Attack]:
    """So many of them, evenly over the list."""
    return attacks[:: max(1, len(attacks) // count)][:count]


def _worth(names: set[str], points: dict[str, float]) -> float:
    return sum(points[name.replace("/", "_")] for name in names)


def main() -> int:
    """Run the suite; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lessons", nargs="+", metavar="ID", help="these lessons (default: all)")
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--without", nargs="+", default=[], metavar="KIND", help="leave these kinds out")
    parser.add_argument("--stock", action="store_true", help="stock nbgrader too, on lesson 18-01")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    lessons = [find_lesson(name) for name in options.lessons] if options.lessons else all_lessons()
    total: dict[str, int] = {}
    answers = 0
    for lesson in lessons:
        attacks = (ATTACKS if lesson.id == "18-01" else []) + kinds_for(lesson)
        attacks = [attack for attack in attacks if options.only in (None, attack.kind)]
        attacks = [attack for attack in attacks if attack.kind not in options.without]
        if options.sample:
            kinds = dict.fromkeys(attack.kind for attack in attacks)
            groups = [[attack for attack in attacks if attack.kind == kind] for kind in kinds]
            attacks = [attack for group in groups for attack in spread(group, options.sample)]
        if attacks:
            answers += sum(max(len(attack.cells), 1) for attack in attacks)
            for name, count in _one_lesson(lesson, attacks, options).items():
                total[name] = total.get(name, 0) + count
    print(
        f"\nall: {answers} attacked answers;", ", ".join(f"{name}: {count}" for name, count in total.items())
    )
    return int(any(count for name, count in total.items() if name != "submissions"))


def _one_lesson(lesson: Lesson, attacks: list[Attack], options: argparse.Namespace) -> dict[str, int]:
    """Grade the attacks on one lesson, print a line each; return the bars."""
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
    total = sum(points.values())
    for outcome in outcomes:
        sign = "ok  " if outcome.right else "FAIL"
        got, fair = total - _worth(outcome.lost, points), total - _worth(outcome.expected, points)
        who = f"{outcome.attack.kind:9} {outcome.attack.name:34}"
        print(f"{sign} {who} {got:4g} of {total:g}, fair {fair:4g}", flush=True)
        if not outcome.right:
            print("     ", "leaked" if outcome.leaked else sorted(outcome.lost ^ outcome.expected))
    bars = {
        "submissions": len(outcomes),
        "cheats that score": sum(o.expected - o.lost != set() for o in outcomes),
        "leaks": sum(o.leaked for o in outcomes),
        "harm": len(harm),
        "right answers marked wrong": sum(o.lost - o.expected != set() for o in outcomes),
        "without a result": sum(not o.seen for o in outcomes),
    }
    print(f"{lesson.assignment}:", ", ".join(f"{name}: {count}" for name, count in bars.items()), flush=True)
    for sentence in harm:
        print("  ", sentence)
    if options.stock and lesson.id == "18-01":
        _beside_stock(lesson, attacks, outcomes, points, options.workers)
    return bars


def _beside_stock(lesson: Lesson, attacks: list[Attack], outcomes: list, points: dict, workers: int) -> None:
    total = sum(points.values())
    print("\nstock nbgrader")
    due = {o.attack.name: total - _worth(o.expected, points) for o in outcomes}
    compared = {}
    for name, got in stock(lesson, attacks, workers):
        compared[name] = got
        print(f"     {name:44} {got:>9} of {total:g}, fair {due[name]:4g}", flush=True)
    missed = _stock_bars(compared, due)
    counts = ", ".join(f"{name}: {count}" for name, count in missed.items())
    print(f"stock nbgrader on {len(compared)} of them; {counts}")


if __name__ == "__main__":
    sys.exit(main())
