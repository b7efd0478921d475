"""Trees of questions, as data.

A tree is its questions in order, and its own policy of what "healthy" needs. A question names its thresholds
and the leaves it can end in; its `judge` turns evidence into a finding and looks at nothing but the evidence.
`minigpt.diagnosis.walker` asks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from minigpt.runs.evidence import Evidence


class Verdict(StrEnum):
    """What a question can answer."""

    PASS = "pass"
    WARN = "warn"  # odd, but no fault
    FAIL = "fail"  # a fault, and its leaf
    NOT_MEASURED = "not-measured"
    UNKNOWN = "unknown"  # something is wrong, and the evidence does not say what


@dataclass(frozen=True)
class Finding:
    """The answer to one question: the verdict, the figures behind it, and the leaf where it failed."""

    question: str
    verdict: Verdict
    values: Mapping[str, Any] = field(default_factory=dict)
    leaf: str | None = None
    symptom: bool = False  # something is wrong, and its cause may be found by another question
    tree: str = "configuration"
    explains: bool = False  # a symptom that is named before others
    limits: Mapping[str, float] = field(default_factory=dict)  # the question's thresholds

    def key(self, name: str) -> str:
        """Return the key of one of the question's messages, such as `configuration.question-1.1`."""
        return f"{self.tree}.{name}-{self.question}"


@dataclass(frozen=True)
class Question:
    """One node of a tree."""

    id: str
    thresholds: Mapping[str, float]
    leaves: tuple[str, ...]
    judge: Callable[[Question, Evidence], Finding]
    symptom: bool = False  # it judges the course of the run, which faults of every kind disturb
    explains: bool = False  # of symptoms it is named first: its evidence says more than the course alone
    tree: str = "configuration"  # id of its tree

    @property
    def section(self) -> str:
        """The part of the id before the point."""
        return self.id.partition(".")[0]

    def key(self, name: str) -> str:
        """Return the key of one of its messages, such as `configuration.question-1.1`."""
        return f"{self.tree}.{name}-{self.id}"

    def passed(self, **values: Any) -> Finding:
        """The evidence is as it should be."""
        return self._found(Verdict.PASS, values)

    def warned(self, leaf: str | None = None, **values: Any) -> Finding:
        """Odd, but no fault; with a leaf, what it may become."""
        assert leaf is None or leaf in self.leaves, f"{leaf} is not among the leaves of question {self.id}"
        return self._found(Verdict.WARN, values, leaf)

    def failed(self, leaf: str, **values: Any) -> Finding:
        """A fault, and its leaf."""
        assert leaf in self.leaves, f"{leaf} is not among the leaves of question {self.id}"
        return self._found(Verdict.FAIL, values, leaf, self.symptom)

    def unknown(self, **values: Any) -> Finding:
        """A fault, and no evidence that tells which."""
        return self._found(Verdict.UNKNOWN, values, symptom=True)

    def not_measured(self, **values: Any) -> Finding:
        """The evidence was not recorded, or the question does not apply."""
        return self._found(Verdict.NOT_MEASURED, values)

    def _found(
        self, verdict: Verdict, values: dict[str, Any], leaf: str | None = None, symptom: bool = False
    ) -> Finding:
        explains = symptom and self.explains
        return Finding(self.id, verdict, values, leaf, symptom, self.tree, explains, self.thresholds)


@dataclass(frozen=True)
class Need:
    """What some evidence must show before its run is called healthy."""

    where: Callable[[Evidence], bool]  # the evidence that this is asked of
    answered: tuple[str, ...] = ()  # at least one of these questions must have an answer
    passed: tuple[str, ...] = ()  # all of these must pass

    def met(self, findings: Mapping[str, Verdict]) -> bool:
        """Return whether verdicts by question are enough."""
        some = not self.answered or any(
            findings.get(id, Verdict.NOT_MEASURED) is not Verdict.NOT_MEASURED for id in self.answered
        )
        return some and all(findings.get(id) is Verdict.PASS for id in self.passed)


@dataclass(frozen=True)
class Tree:
    """Questions in the order in which they are asked, and what "healthy" needs."""

    id: str
    questions: tuple[Question, ...]
    health: tuple[Need, ...] = ()
    reserved: tuple[str, ...] = ()  # questions that, where not measured, are named beside "healthy"

    def __post_init__(self) -> None:
        strangers = [question.id for question in self.questions if question.tree != self.id]
        assert not strangers, f"questions {strangers} do not name {self.id} as their tree"

    def question(self, id: str) -> Question:
        """Return a question by id; raises KeyError where there is none."""
        found = next((question for question in self.questions if question.id == id), None)
        if found is None:
            raise KeyError(id)
        return found

    def section(self, number: int | str) -> Tree:
        """Return one section as a tree, whose "healthy" needs nothing from other sections."""
        asked = tuple(question for question in self.questions if question.section == str(number))
        return replace(self, questions=asked, health=(), reserved=())

    def unmet(self, evidence: Evidence, findings: tuple[Finding, ...]) -> tuple[Need, ...]:
        """Return what health still needs, the evidence and the answers given."""
        verdicts = {finding.question: finding.verdict for finding in findings if finding.tree == self.id}
        return tuple(need for need in self.health if need.where(evidence) and not need.met(verdicts))

    def unjudged(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Return the answers to reserved questions that were not measured."""
        return tuple(
            finding
            for finding in findings
            if finding.tree == self.id
            and finding.question in self.reserved
            and finding.verdict is Verdict.NOT_MEASURED
        )
