"""The walk: ask the questions in order, stop at the first cause, or ask them all.

A leaf that was read off the course of the run (a gradient that is too large, a loss that does not fall) may
be the symptom of another fault. So it is named only where the questions that are left find no cause: those
that test one part of the run by itself, where a failure is certain. Without this rule a missing norm is a
learning rate that is too low in one run and a divergence in the next.

The configuration tree is walked first. Where it finds no cause, it hands over to the dynamics tree: trouble
of the dynamics is looked into once the configuration holds. A symptom in the configuration tree does not stop
the walk, for the dynamics tree may know its cause, or a name that says more (`Question.explains`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from minigpt.diagnosis.places import place_of
from minigpt.diagnosis.tree import Finding, Need, Question, Tree, Verdict
from minigpt.diagnosis.trees import TREES
from minigpt.messages import MiniGPTError
from minigpt.runs.evidence import Evidence

FAULTS = (Verdict.FAIL, Verdict.UNKNOWN)


class JudgeError(MiniGPTError):
    """A mistake in a question's own code: a bug of this program, and no fault of the run."""


@dataclass(frozen=True)
class Walk:
    """The answers in the order asked, and what the trees miss before they call the run healthy."""

    findings: tuple[Finding, ...]
    unmet: tuple[Need, ...] = ()  # what "healthy" still needs
    unjudged: tuple[Finding, ...] = ()  # reserved questions without an answer: an undeclared schedule
    places: Mapping[str, str] | None = None  # "file:line" of what a monitor saw

    @property
    def end(self) -> Finding | None:
        """The finding that decides; None where there is no fault.

        The first cause, else the first symptom that has a name (one that explains others before them), else
        the first that has none.
        """
        faults = [finding for finding in self.findings if finding.verdict in FAULTS]
        # else as they were asked
        faults.sort(key=lambda finding: (finding.symptom, finding.leaf is None, not finding.explains))
        return faults[0] if faults else None

    @property
    def leaf(self) -> str | None:
        """The leaf to fix first, or None."""
        return self.end.leaf if self.end else None

    @property
    def place(self) -> str | None:
        """Where to look for the leaf's cause, "file:line"; None where it is not known."""
        return place_of(self.leaf, self.places)

    @property
    def leaves(self) -> list[str]:
        """Every leaf that was found, each once; more than the first only in a whole walk."""
        faults = (finding for finding in self.findings if finding.verdict in FAULTS)
        return list(dict.fromkeys(finding.leaf for finding in faults if finding.leaf))

    @property
    def others(self) -> list[str]:
        """Leaves of other causes that tests of single parts found; all of them only in a whole walk."""
        causes = [finding.leaf for finding in self.findings if _is_cause(finding)]
        return [leaf for leaf in dict.fromkeys(causes) if leaf != self.leaf]

    @property
    def watch(self) -> list[str]:
        """Leaves that were only warned of: no fault today."""
        warned = [finding.leaf for finding in self.findings if finding.verdict is Verdict.WARN]
        found = self.leaves
        return [leaf for leaf in dict.fromkeys(warned) if leaf and leaf not in found]

    def cut(self) -> Walk:
        """Return the walk up to the finding that decides it; the whole where there is none."""
        if self.end is None:
            return self
        return replace(self, findings=self.findings[: self.findings.index(self.end) + 1])

    @property
    def verdict(self) -> Verdict:
        """FAIL with a leaf; UNKNOWN where a fault has no name or too little was measured; else PASS."""
        if self.end:
            return self.end.verdict
        measured = any(finding.verdict is not Verdict.NOT_MEASURED for finding in self.findings)
        return Verdict.PASS if measured and not self.unmet else Verdict.UNKNOWN


def walk(
    evidence: Evidence, questions: Sequence[Question] | Sequence[Tree] | None = None, whole: bool = False
) -> Walk:
    """Ask the stability check, or some of its questions, of `evidence`.

    Args:
        questions: trees; or questions, whose walk needs no more for "healthy" than one answer. Default: all
            trees, configuration first.
        whole: continue after the first cause, to show every answer of its tree. The next tree is asked
            only where no tree before it found a cause.

    Raises:
        JudgeError: the code of a question is wrong.
    """
    given = TREES if questions is None else questions
    trees = [entry for entry in given if isinstance(entry, Tree)]
    findings: list[Finding] = []
    for entry in given:
        if any(map(_is_cause, findings)) and (isinstance(entry, Tree) or not whole):
            break
        for question in getattr(entry, "questions", (entry,)):
            findings.append(_judged(question, evidence))
            if _is_cause(findings[-1]) and not whole:
                break
    found = tuple(findings)
    walked = Walk(
        found,
        tuple(need for tree in trees for need in tree.unmet(evidence, found)),
        tuple(finding for tree in trees for finding in tree.unjudged(found)),
        evidence.start.places,
    )
    return walked if whole else walked.cut()


def _is_cause(finding: Finding) -> bool:
    return finding.verdict in FAULTS and not finding.symptom


def _judged(question: Question, evidence: Evidence) -> Finding:
    try:
        return question.judge(question, evidence)
    except Exception as error:
        where = error.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        raise JudgeError(
            "stability.internal-error",
            question=question.id,
            tree=question.tree,
            kind=type(error).__name__,
            detail=error,
            file=where.tb_frame.f_code.co_filename.rpartition("minigpt")[2].lstrip("/\\"),
            line=where.tb_lineno,
        ) from error
