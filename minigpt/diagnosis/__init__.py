"""The stability check: a decision tree over the evidence of a run.

walk = check("experiments/first")
print(walk.leaf or walk.verdict)
"""

from __future__ import annotations

from pathlib import Path

from minigpt.diagnosis.tree import Finding, Question, Verdict
from minigpt.diagnosis.trees.configuration.questions import QUESTIONS
from minigpt.diagnosis.walker import Walk, walk
from minigpt.runs.evidence import Evidence, evidence_of

LOSSES, FEW = ("4.1b",), 20  # a run of more steps without one loss is not healthy, whatever else is right


def check(run_dir: str | Path, whole: bool = False, section: int | None = None) -> Walk:
    """Walk the tree, or one section of it, over the run in `run_dir`.

    Raises:
        RunError: the directory is missing, torn or not a run, or has no finished step.
    """
    questions = [q for q in QUESTIONS if section is None or q.id.startswith(f"{section}.")]
    evidence = evidence_of(run_dir)
    # a loop may be watched and its losses never noted
    mute = len(evidence.metrics) >= FEW and not len(evidence.metrics.column("loss")[0])
    return walk(evidence, questions, whole, must_pass=LOSSES if mute and section is None else ())


__all__ = ["QUESTIONS", "Evidence", "Finding", "Question", "Verdict", "Walk", "check", "evidence_of", "walk"]
