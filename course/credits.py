"""A patient examined on a budget: any question at any time, each at a cost, five credits in all.

    examination = Examination(run)
    examination.cost("1.3")            # 2: the model has to be opened; what the log answers costs 1
    examination.ask("1.3")             # the Finding; examination.left is 3 now
    apart("init-scale")                # leaves that are easily taken for it, and the questions that tell

An answer once paid for stays. A diagnosis may be given at any time, and must be once no question can be paid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from minigpt import diagnosis
from minigpt.diagnosis.tree import Finding, Question, Verdict
from minigpt.runs.evidence import Evidence, evidence_of
from minigpt.runs.run import Run
from minigpt.runs.schema import Baselines, Rehearsal, Source, Start

CREDITS = 5
LOG, PROBE = 1, 2  # credits for a question that the log answers, and for one that opens the model
QUESTIONS = {(question.tree, question.id): question for question in diagnosis.QUESTIONS}


def measured(run: Run) -> list[Finding]:
    """Return every answer of the trees to this run, without the questions that were not measured."""
    walk = diagnosis.walk(evidence_of(run), whole=True)
    return [finding for finding in walk.findings if finding.verdict is not Verdict.NOT_MEASURED]


@dataclass
class Examination:
    """What can be asked about one run, what was asked, and what that has cost."""

    run: Run
    findings: dict[str, Finding] = field(init=False)  # by the question's id, in the order of the trees
    asked: list[str] = field(init=False, default_factory=list)
    _costs: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.findings = {finding.question: finding for finding in measured(self.run)}
        log = _log_alone(evidence_of(self.run))
        self._costs = {id: _cost(self.question(id), log) for id in self.findings}

    def question(self, id: str) -> Question:
        """The question of that id, among those that were measured."""
        return QUESTIONS[self.findings[id].tree, id]

    def cost(self, id: str) -> int:
        """What asking costs now: nothing if it was asked before."""
        return 0 if id in self.asked else self._costs[id]

    @property
    def left(self) -> int:
        """The credits that are left."""
        return CREDITS - sum(self._costs[id] for id in self.asked)

    @property
    def spent(self) -> bool:
        """Whether no other question can be paid."""
        return not any(0 < self.cost(id) <= self.left for id in self.findings)

    def ask(self, id: str) -> Finding | None:
        """Pay for a question and return its answer; None if the credits do not suffice."""
        if self.cost(id) > self.left:
            return None
        if id not in self.asked:
            self.asked.append(id)
        return self.findings[id]


@dataclass(frozen=True)
class Alike:
    """A leaf that shares questions with another, and the questions that can end in one of the two alone."""

    leaf: str
    shared: tuple[str, ...]
    telling: tuple[str, ...]


def apart(leaf: str) -> list[Alike]:
    """Return the leaves that share a question with `leaf`, those that share most first."""
    mine = _questions_of(leaf)
    others = {
        other for question in diagnosis.QUESTIONS if leaf in question.leaves for other in question.leaves
    }
    found = []
    for other in others - {leaf}:
        theirs = _questions_of(other)
        telling = [id for id in (*mine, *theirs) if (id in mine) != (id in theirs)]
        found.append(Alike(other, tuple(id for id in mine if id in theirs), tuple(telling)))
    return sorted(found, key=lambda alike: (-len(alike.shared), alike.leaf))


def _questions_of(leaf: str) -> list[str]:
    return [question.id for question in diagnosis.QUESTIONS if leaf in question.leaves]


def _cost(question: Question, log: Evidence) -> int:
    return PROBE if question.judge(question, log).verdict is Verdict.NOT_MEASURED else LOG


def _log_alone(evidence: Evidence) -> Evidence:
    """The evidence without whatever somebody had to open the model or the loop for."""
    nothing = {
        "start": Start(),
        "rehearsal": Rehearsal(),
        "baselines": Baselines(),
        "audits": {},
        "events": (),
    }
    return replace(evidence, source=Source.LOG, **nothing)
