"""The walk: ask the questions in order, stop at the first failing leaf, or show them all.

A leaf that was read off the course of the run (a gradient that is too large, a loss that does not fall) may
be the symptom of another fault. So it is named only where the questions that are left find no cause: those
that test one part of the run by itself, where a failure is certain. Without this rule a missing norm is a
learning rate that is too low in one run and a divergence in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minigpt.diagnosis.tree import Finding, Question, Verdict
from minigpt.runs.evidence import Evidence

ENDS_THE_WALK = (Verdict.FAIL, Verdict.PHASE_19, Verdict.UNKNOWN)


@dataclass(frozen=True)
class Walk:
    """Every question asked, in order. The verdict is the first fault's; without one the run is healthy."""

    findings: tuple[Finding, ...]
    needs: tuple[str, ...] = ()  # questions of which health takes an answer to one; none named: to any at all
    must_pass: tuple[str, ...] = ()  # questions that health takes a pass from

    @property
    def end(self) -> Finding | None:
        """The finding that ended the walk, the cause rather than its symptom; None for a healthy run."""
        faults = [finding for finding in self.findings if finding.verdict in ENDS_THE_WALK]
        return next((finding for finding in faults if not finding.symptom), faults[0] if faults else None)

    @property
    def leaf(self) -> str | None:
        """The leaf to mend first, or None."""
        return self.end.leaf if self.end else None

    @property
    def leaves(self) -> list[str]:
        """Every leaf that was found, each once; more than the first only in a whole walk."""
        return list(dict.fromkeys(finding.leaf for finding in self.findings if finding.leaf))

    @property
    def verdict(self) -> Verdict:
        """FAIL or PHASE_19 with a leaf, UNKNOWN, or PASS; UNKNOWN too when nothing at all was measured."""
        if self.end:
            return self.end.verdict
        answers = [finding for finding in self.findings if not self.needs or finding.question in self.needs]
        measured = any(finding.verdict is not Verdict.NOT_MEASURED for finding in answers)
        passed = {finding.question for finding in self.findings if finding.verdict is Verdict.PASS}
        return Verdict.PASS if measured and passed.issuperset(self.must_pass) else Verdict.UNKNOWN


def _judged(question: Question, evidence: Evidence) -> Finding:
    """Ask one question; evidence that an older version or another hand wrote otherwise is no evidence."""
    try:
        return question.judge(question, evidence)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return question.not_measured()


def walk(
    evidence: Evidence,
    questions: Sequence[Question],
    whole: bool = False,
    needs: tuple[str, ...] = (),
    must_pass: tuple[str, ...] = (),
) -> Walk:
    """Ask `questions` of `evidence` in order.

    Args:
        whole: go on after the first failing leaf, to show all of the tree.
        needs: questions of which one must have an answer before a run counts as healthy.
        must_pass: questions that must all pass before it does.
    """
    findings = []
    for question in questions:
        findings.append(_judged(question, evidence))
        if findings[-1].verdict in ENDS_THE_WALK and not findings[-1].symptom and not whole:
            break
    found = Walk(tuple(findings), tuple(needs), tuple(must_pass))
    if found.end and not whole:
        found = Walk(found.findings[: found.findings.index(found.end) + 1], found.needs, found.must_pass)
    return found
