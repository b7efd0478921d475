"""The stability check: trees of questions about the evidence of a run.

    walk = check("experiments/first")
    print(walk.leaf or walk.verdict)

tree.py       a question, a finding, a tree as data
trees/        the questions, and what "healthy" needs
walker.py     asks them
report.py     says what was found, for people and as JSON
"""

from __future__ import annotations

from pathlib import Path

from minigpt.diagnosis.tree import Finding, Question, Tree, Verdict
from minigpt.diagnosis.trees import CONFIGURATION, DYNAMICS, TREES
from minigpt.diagnosis.walker import JudgeError, Walk, walk
from minigpt.runs.evidence import Evidence, evidence_of

QUESTIONS = tuple(question for tree in TREES for question in tree.questions)


def check(run_dir: str | Path, whole: bool = False, section: int | None = None) -> Walk:
    """Walk the trees, or one section of the configuration tree, over the run in `run_dir`.

    Raises:
        RunError: the directory is missing, torn or not a run, or has no finished step.
        JudgeError: the code of a question is wrong.
    """
    trees = None if section is None else (CONFIGURATION.section(section),)
    return walk(evidence_of(run_dir), trees, whole)


__all__ = [
    "CONFIGURATION",
    "DYNAMICS",
    "QUESTIONS",
    "TREES",
    "Evidence",
    "Finding",
    "JudgeError",
    "Question",
    "Tree",
    "Verdict",
    "Walk",
    "check",
    "evidence_of",
    "walk",
]
