"""Can every ward of blind patients be solved, and only by looking? One command:

    python benchmarks/capstone.py [--wards 50]

For each of so many names it draws the six patients of lesson 18-08 and hands in three sets of charts: those
of a solver that walks the tree, exchanges the part that the leaf blames, and walks again; empty ones; and
ones that call everything `init-scale`. The lesson's own checks mark them. A ward is solved when the first set
gets full marks.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import statistics
import time
from collections.abc import Callable
from functools import cache

import torch

from course.judging import run_check
from course.lesson import find_lesson
from course.patients import CONFIG, Patient, ward
from course.source import read_source
from minigpt.config import Config
from minigpt.diagnosis import Walk
from minigpt.faults import FAULTS

CURES = {fault.leaf: fault.part for fault in FAULTS.values()}
MOST_FAULTS = 3  # repairs that the solver tries before it gives up on a patient


def evidence(walk: Walk) -> list:
    """Return the question that decides a walk and one of its figures; of a healthy run, the first loss."""
    finding = walk.end or next(finding for finding in walk.findings if finding.question == "1.1")
    figures = [value for value in finding.values.values() if type(value) in (int, float)]
    return [finding.question, float(figures[0])]


def solve(name: str, patient: Patient) -> dict:
    """Walk, repair what the leaf blames, and walk again, until nothing is found."""
    leaves: list[str] = []
    parts: list[str] = []
    settings: dict[str, float] = {}
    found = evidence(patient.walk())
    while (walk := patient.walk(parts, settings)).end is not None and len(leaves) < MOST_FAULTS:
        leaves.append(walk.leaf)
        cure = CURES.get(walk.leaf)
        if cure == "config":
            settings["clip_norm"] = Config().clip_norm
        elif cure:
            parts.append(cure)
    return {"name": name, "leaves": leaves, "evidence": found, "parts": parts, "settings": settings}


def nothing(name: str, patient: Patient) -> dict:
    """Return an empty chart."""
    return {}


def always_init_scale(name: str, patient: Patient) -> dict:
    """Return the chart of somebody who knows one fault only, and reads one figure off the log."""
    loss = next(finding for finding in patient.walk().findings if finding.question == "1.1").values.get(
        "loss"
    )
    return {
        "name": name,
        "leaves": ["init-scale"],
        "evidence": ["1.1", loss or 0.0],
        "parts": ["init_weights"],
        "settings": {},
    }


@cache
def points() -> dict[str, int]:
    """Return the points of each check of a chart, by name."""
    cells = read_source(find_lesson("18-08").folder / "lesson.py")
    return {cell.name: cell.points for cell in cells if cell.role == "check" and "patient-" in cell.name}


def share(name: str, policy: Callable[[str, Patient], dict]) -> tuple[float, list[str]]:
    """Return the share of the marks that a policy gets on somebody's ward, and the checks that it fails."""
    checks, worth = find_lesson("18-08").checks, points()
    charts = {f"patient_{letter.lower()}": policy(name, p) for letter, p in ward(name).items()}
    failed = [check for check in worth if run_check(checks[check], charts[checks[check].answer]).wrong]
    return 1 - sum(worth[check] for check in failed) / sum(worth.values()), failed


POLICIES = {"tree and fixes": solve, "nothing": nothing, "everything is init-scale": always_init_scale}


def main() -> None:
    """Mark every policy on every ward and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wards", type=int, default=50)
    wards = parser.parse_args().wards
    torch.set_num_threads(1)
    started, shares = time.monotonic(), {policy: [] for policy in POLICIES}
    for number in range(wards):
        name = f"learner {number}"
        for policy, chart in POLICIES.items():
            found, failed = share(name, chart)
            shares[policy].append(found)
            if chart is solve and failed:
                print(f"{name}: not solved: {', '.join(failed)}", flush=True)
    print(f"{wards} wards of six, {CONFIG.steps} steps a run, {time.monotonic() - started:.0f} s")
    print(f"{'policy':26} {'lowest':>8} {'mean':>8} {'highest':>8}   full marks")
    for policy, found in shares.items():
        full = sum(value == 1 for value in found)
        low, mean, high = min(found), statistics.mean(found), max(found)
        print(f"{policy:26} {low:8.1%} {mean:8.1%} {high:8.1%}   {full} of {wards}")


if __name__ == "__main__":
    main()
