"""Does the stability check find every fault, by name, and none where there is none? One command:

    python benchmarks/diagnosis.py [--set held-out|seen|tuning] [--quick] [--workers 1] [--show]

Trains every fault at every severity on four configurations with five seeds each, and more than a hundred
clean runs, most of them awkward ones; walks the check over each; prints precision, recall and F1 of
detection, the share of faults named right, false alarms per clean run and how many steps after the first
evidence a fault is named, and draws the confusion matrix. What is done is kept in build/, so a run that was
cut off goes on; `--show` trains nothing. Thresholds are tuned on `tuning` and `seen`, and judged on
`held-out`.

Detected means named: a verdict of “unknown” is a miss on a broken run, and a false alarm on a clean one.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigpt
from minigpt.diagnosis import QUESTIONS, Evidence, Verdict, Walk, evidence_of, walk
from minigpt.diagnosis.trees.configuration.validation import gaps_until
from minigpt.runs.jsonl import Columns
from minigpt.runs.schema import Units
from minigpt.training.trainer import NotFiniteError, train

sys.path.insert(0, str(Path(__file__).parent))
import diagnosis_cases as cases  # noqa: E402
from diagnosis_cases import Case  # noqa: E402

BUILD = Path(__file__).parent.parent / "build"
FROZEN = (  # what a result is of,
    *("diagnosis/**/*.py", "runs/schema.py", "runs/evidence.py", "faults/*.py", "data/overlap.py"),
    *("training/probes.py", "training/rehearsal.py", "training/instruments/*.py", "runs/thresholds.py"),
    *("runs/probe.py", "runs/instrument_probes.py"),
)
WORDS = ("report.py", "card.py", "comparison.py")  # but for these
BARS = {"F1": 0.97, "top-1": 0.95, "false alarms": 0.02}
HEALTHY, UNKNOWN = "healthy", "unknown"


def main() -> None:
    """Run what is not yet done, then print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=cases.SETS, default="held-out")
    parser.add_argument("--quick", action="store_true", help="one seed, and one clean run of each kind")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="judge what is done, train nothing")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    asked = parser.parse_args()
    configurations, seeds = cases.SETS[asked.set], range(1 if asked.quick else 5)
    wanted = [*cases.broken(configurations, seeds), *cases.clean(configurations, seeds)]
    wanted = {case.name: case for case in wanted if asked.only in case.name}
    path = BUILD / f"diagnosis-{asked.set}-{digest()}.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    done = {row["name"]: row for row in map(json.loads, lines) if row["name"] in wanted}
    left = [] if asked.show else [case for name, case in wanted.items() if name not in done]
    left.sort(key=lambda case: (case.seed, case.leaf is not None))  # cut off, it is a slice of everything
    print(f"{len(done)} of {len(wanted)} runs done; results in {path}")
    with path.open("a", encoding="utf-8") as file:
        for count, row in enumerate(judged(left, asked.workers), start=1):
            done[row["name"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            if row["named"] != (row["leaf"] or HEALTHY):
                print(f"[{count}/{len(left)}] {row['name']}: {row['named']}, {row['seen']}", flush=True)
    report(list(done.values()))
    draw(list(done.values()), path.with_suffix(".png"))


def digest() -> str:
    """Return a hash of the code that a result depends on, so that results of two states never mix."""
    root = Path(minigpt.__file__).parent
    files = [file for pattern in FROZEN for file in sorted(root.glob(pattern)) if file.name not in WORDS]
    files += sorted(Path(cases.__file__).parent.glob("diagnosis_*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def judged(left: list[Case], workers: int) -> Iterator[dict[str, Any]]:
    """Yield the result of every case, in `workers` processes."""
    torch.set_num_threads(1)
    if workers == 1:
        yield from map(judge, left)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap_unordered(judge, left)


def judge(case: Case) -> dict[str, Any]:
    """Train one case and walk the check over it."""
    started = time.process_time()
    folder = Path(tempfile.mkdtemp())
    try:
        with contextlib.suppress(NotFiniteError):  # the run ends there, and what was logged is judged
            train(case.recipe(folder), folder / "run")
        evidence = evidence_of(folder / "run")
    finally:
        shutil.rmtree(folder)
    found, name = walk(evidence), named_by(walk(evidence))
    at = named_at(case.leaf, evidence) if name and name == case.leaf else None
    return {
        "name": case.name,
        "fault": "+".join(case.faults) or None,
        "clean": case.clean,
        "leaf": case.leaf,
        "named": name or (HEALTHY if found.verdict is Verdict.PASS else UNKNOWN),
        "seen": {"question": found.end.question, **found.end.values} if found.end else None,
        "delay": None if at is None else at - first_evidence(case, evidence),
        "seconds": round(time.process_time() - started, 2),
    }


def named_by(found: Walk) -> str | None:
    """Return the leaf of a walk; a leaf that is only ever warned of counts where nothing else was found."""
    return found.leaf or next((leaf for leaf in found.watch if leaf in cases.WARNED), None)


# ---------------------------------------------------------------------- when a fault could be, and was, named


def until(evidence: Evidence, step: int) -> Evidence:
    """Return what was known once `step` was logged."""
    metrics = {}
    for name in evidence.metrics.names():
        steps, values = evidence.metrics.column(name)
        if (steps <= step).any():
            metrics[name] = (steps[steps <= step], values[steps <= step])
    audits = {
        kind: tuple(probe for probe in probes if probe.step <= step)
        for kind, probes in evidence.audits.items()
    }
    known = {
        name: getattr(evidence, name) for name in ("source", "vocab_size", "config", "starts_from_checkpoint")
    }
    probes = {name: getattr(evidence, name) for name in ("start", "rehearsal", "baselines")}
    return Evidence(**known, **probes, metrics=Columns.of(metrics), audits=audits)


def named_at(leaf: str, evidence: Evidence) -> int:
    """Return the first step at which the check names `leaf`.

    It looks at 40 steps, then at every tenth; from the look that names it, it goes back to the one before.
    """
    steps = evidence.metrics.column("step")[0]
    looks = evidence.metrics.column("val_loss")[0]
    at = steps[(steps < 40) | (steps % 10 == 9) | np.isin(steps, looks)]

    def names(step: int) -> bool:
        return named_by(walk(until(evidence, step))) == leaf

    look = next((step for step in at if names(step)), steps[-1])
    unseen = steps[(steps > at[at < look].max(initial=-1)) & (steps < look)]
    return int(next((step for step in unseen if names(step)), look))


def first_evidence(case: Case, evidence: Evidence) -> int:
    """Return the first step after which anybody who reads the log could know: 0 where a probe tells."""
    config = case.config()
    steps, norms = evidence.metrics.column("grad_norm")
    if case.leaf in ("scheduler-never-stepped", "base-lr-zero", "warmup-off-by-one"):
        return 1  # one rate alone does not show whether it moves
    if case.leaf == "lr-discontinuous":
        steps, rates = evidence.metrics.column("lr.no_decay")
        return int(steps[1:][rates[1:] < 0.9 * rates[:-1]][0])  # the first drop; what was asked for is smooth
    if case.leaf == "schedule-step-unit" and config.accumulation == 1:
        return config.warmup_steps  # until then it may be a scale
    if case.leaf == "nan-loss":
        steps, losses = evidence.metrics.column("loss")
        return int(steps[~np.isfinite(losses)][0])
    if case.leaf == "mode-left-on":
        return int(evidence.metrics.column("val_loss")[0][0])  # the first time that anything is evaluated
    if case.leaf == "dead-units":
        return evidence.audit(Units).step  # the first time that units are looked at
    if case.leaf == "always-clipping":
        return 19  # the window of the mean
    if case.leaf == "gradient-spikes":
        return int(steps[norms > 100][3])
    if case.leaf == "lr-too-low":
        return 200
    if case.leaf == "shuffled-targets":
        return 199
    if case.leaf == "overfitting":
        limits = next(question.thresholds for question in QUESTIONS if question.id == "4.2")
        gaps = gaps_until(evidence, int(limits["step"]))
        return next(gap.step for gap in gaps if gap.nats - limits["errors"] * gap.error > limits["high"])
    return 0


# ---------------------------------------------------------------------- figures


def report(rows: list[dict[str, Any]]) -> None:
    """Print the figures, and every run that was judged wrongly."""
    faulty, healthy = [row for row in rows if row["leaf"]], [row for row in rows if not row["leaf"]]
    flagged = [row for row in faulty if row["named"] not in (HEALTHY, UNKNOWN)]
    alarms = [row for row in healthy if row["named"] != HEALTHY]
    right = [row for row in faulty if row["named"] == row["leaf"]]
    precision = len(flagged) / max(len(flagged) + len(alarms), 1)
    recall = len(flagged) / max(len(faulty), 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    delays = np.array([row["delay"] for row in right])
    print(
        f"{len(faulty)} broken runs, {len(healthy)} clean runs, {sum(r['seconds'] for r in rows):.0f} CPU s"
    )
    print(f"detection: precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f} (bar {BARS['F1']})")
    print(f"leaf named right: {len(right)}/{len(faulty)} = {len(right) / max(len(faulty), 1):.4f} (bar 0.95)")
    share = len(alarms) / max(len(healthy), 1)
    print(f"false alarms: {len(alarms)}/{len(healthy)} = {share:.4f} (bar {BARS['false alarms']})")
    if len(delays):
        print(
            f"steps from the first evidence to the name: median {np.median(delays):g}, "
            f"at most {delays.max()}, none in {(delays <= 0).mean():.1%}"
        )
    late = Counter(row["fault"] for row in right if row["delay"] > 0)
    if late:
        print("named later than the first evidence:", dict(late))
    wrong = Counter(
        (row["fault"] or row["clean"], row["named"]) for row in faulty + alarms if row not in right
    )
    for (what, named), count in sorted(wrong.items()):
        print(f"  {what}: {named} × {count}")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the confusion matrix: a row for what was broken, a column for what was named."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    leaves = list(dict.fromkeys(leaf for question in QUESTIONS for leaf in question.leaves))
    broken, named = [*leaves, HEALTHY], [*leaves, HEALTHY, UNKNOWN]
    counts = Counter((row["leaf"] or HEALTHY, row["named"]) for row in rows)
    table = np.array([[counts[truth, name] for name in named] for truth in broken])
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(9, 8.4), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (y, x), count in np.ndenumerate(table):
        if count:
            axes.text(
                x, y, count, ha="center", va="center", fontsize=5.5, color="k" if shares[y, x] < 0.5 else "w"
            )
    axes.set_xticks(range(len(named)), named, rotation=90, fontsize=7)
    axes.set_yticks(range(len(broken)), broken, fontsize=7)
    axes.set(xlabel="named", ylabel="broken", title=f"{len(rows)} runs: what was broken, and what was named")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"confusion matrix: {path}")


if __name__ == "__main__":
    main()
