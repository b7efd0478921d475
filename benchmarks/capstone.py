"""Can every ward of blind patients be solved, and only by looking? One command:

    python benchmarks/capstone.py [18-08 19-10] [--wards 50] [--first 0]

For each of so many names it draws the six patients of a capstone and hands in three sets of charts: those of
a solver that walks the trees, exchanges the part that the leaf blames, and walks again; empty ones; and ones
that call everything by one leaf. The lesson's own checks mark them. A ward is solved when the first set gets
full marks.
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

from course.draw import KINDS
from course.judging import run_check
from course.lesson import find_lesson
from course.patients import Patient, ward
from course.source import read_source
from minigpt.config import Config
from minigpt.diagnosis import Walk
from minigpt.faults import FAULTS

CURES = {fault.leaf: fault.part for fault in FAULTS.values()}
PLAIN = KINDS["plain"]
# Settings back to their usual values, by the leaf that blames them. The rate is that of the other runs.
SETTINGS = {
    "always-clipping": {"clip_norm": Config().clip_norm},
    "warmup-missing": {"warmup_steps": PLAIN.warmup_steps, "lr_max": PLAIN.lr_max, "lr_min": PLAIN.lr_min},
    "attention-logit-growth": {"lr_max": PLAIN.lr_max, "lr_min": PLAIN.lr_min},
    "fp16-overflow": {"loss_scale": Config().loss_scale, "loss_scale_backoff": Config().loss_scale_backoff},
    "fp16-underflow": {"loss_scale": Config().loss_scale},
}
FAVOURITES = {"18-08": ("init-scale", "init_weights"), "19-10": ("loss-spike-batch", "get_batch")}
MOST_FAULTS = 3  # repairs that the solver tries before it gives up on a patient


def evidence(patient: Patient, walk: Walk) -> list:
    """Return the question that decides a walk and a value that a run without a finding does not show."""
    if walk.end is None:
        norm = next(finding for finding in walk.findings if finding.question == "1.2").values["norm"]
        return ["1.2", norm]
    others = [each.walk() for each in ward(patient.name, patient.lesson).values() if each != patient]
    sound = [walk for walk in others if walk.end is None]
    for asked in (others, sound):  # best a value that nobody else shows
        shown = [f.values for each in asked for f in each.findings if f.question == walk.end.question]
        for name, value in walk.end.values.items():
            if value is not None and not any(values.get(name) == value for values in shown):
                return [walk.end.question, float(value) if type(value) in (int, float) else value]
    return [walk.end.question]


def solve(name: str, patient: Patient) -> dict:
    """Walk, repair what the leaf blames, and walk again, until nothing is found."""
    leaves: list[str] = []
    parts: list[str] = []
    settings: dict[str, float] = {}
    found = evidence(patient, patient.walk())
    while (walk := patient.walk(parts, settings)).end is not None and len(leaves) < MOST_FAULTS:
        leaves.append(walk.leaf)
        cure = CURES.get(walk.leaf)
        if cure == "config":
            settings |= SETTINGS[walk.leaf]
        elif cure:
            parts.append(cure)
    return {"name": name, "leaves": leaves, "evidence": found, "parts": parts, "settings": settings}


def nothing(name: str, patient: Patient) -> dict:
    """Return an empty chart."""
    return {}


def always_one(name: str, patient: Patient) -> dict:
    """Return the chart of somebody who knows one fault only, and reads one figure off the log."""
    first = next(finding for finding in patient.walk().findings if finding.question == "1.1")
    leaf, part = FAVOURITES[patient.lesson]
    evidence = ["1.1", first.values.get("loss") or 0.0]
    return {"name": name, "leaves": [leaf], "evidence": evidence, "parts": [part], "settings": {}}


@cache
def points(lesson: str) -> dict[str, int]:
    """Return the points of each check of a chart, by name."""
    cells = read_source(find_lesson(lesson).folder / "lesson.py")
    return {cell.name: cell.points for cell in cells if cell.role == "check" and "patient-" in cell.name}


def share(
    name: str, policy: Callable[[str, Patient], dict], lesson: str = "18-08"
) -> tuple[float, list[str]]:
    """Return the share of the marks that a policy gets on somebody's ward, and the checks that it fails."""
    checks, worth = find_lesson(lesson).checks, points(lesson)
    charts = {f"patient_{letter.lower()}": policy(name, p) for letter, p in ward(name, lesson).items()}
    failed = [check for check in worth if run_check(checks[check], charts[checks[check].answer]).wrong]
    return 1 - sum(worth[check] for check in failed) / sum(worth.values()), failed


POLICIES = {"trees and fixes": solve, "nothing": nothing, "one leaf for all": always_one}


def main() -> None:
    """Mark every policy on every ward and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", default=[*FAVOURITES], help=", ".join(FAVOURITES))
    parser.add_argument("--wards", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="number of the first name, to go on with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for lesson in options.lessons:
        measure(lesson, options.wards, options.first)


def measure(lesson: str, wards: int, first: int = 0) -> None:
    """Mark every policy on so many wards of a capstone, from the first-th name on."""
    started, shares = time.monotonic(), {policy: [] for policy in POLICIES}
    for number in range(first, first + wards):
        name = f"learner {number}"
        for policy, chart in POLICIES.items():
            found, failed = share(name, chart, lesson)
            shares[policy].append(found)
            if chart is solve:
                told = f"not solved: {', '.join(failed)}" if failed else "solved"
                print(f"{name}: {told}", flush=True)
    print(f"{lesson}: {wards} wards of six, {time.monotonic() - started:.0f} s")
    print(f"{'policy':26} {'lowest':>8} {'mean':>8} {'highest':>8}   full marks")
    for policy, found in shares.items():
        full = sum(value == 1 for value in found)
        low, mean, high = min(found), statistics.mean(found), max(found)
        print(f"{policy:26} {low:8.1%} {mean:8.1%} {high:8.1%}   {full} of {wards}", flush=True)


if __name__ == "__main__":
    main()
