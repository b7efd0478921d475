"""Section 6, decay: it holds weights back a little, and does not undo what they learn."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import observed
from minigpt.runs.evidence import Evidence


def _gentle_decay(question: Question, evidence: Evidence) -> Finding:
    """Ask whether decay leaves the weights what they learn.

    A pull of 0.01 a step forgets every update within some 100 steps; usual are 1e-6 to 1e-3. With an ordinary
    decay it is the rate that is too high. And where the decay stands inside the gradient of an optimizer like
    Adam, matrices that have shrunk to less than half, while rate × decay × steps explains at most a quarter
    of that, show that it outweighs the loss.
    """
    decay, limits = observed(evidence, "decay"), question.thresholds
    if not decay:
        return question.not_measured()
    shrunk = decay["shrunk"]
    values = {"pull": decay["pull"], "shrunk": shrunk, "inside": decay["inside"]}
    heavy = (evidence.rehearsal.weight_decay or 0.0) > limits["decay"]
    heavy &= round(decay["pull"], 6) >= limits["pull"]
    outweighs = decay["inside"] and shrunk is not None and shrunk < limits["shrunk"]
    outweighs &= decay["taken"] < limits["taken"]
    if heavy or outweighs:
        return question.failed("decay-too-strong", **values)
    return question.passed(**values)


DECAY_QUESTIONS = (
    Question(
        "6.7",
        # share of a weight that decay takes in a step, and the decay, of which 0 to 0.3 is usual; size of the
        # matrices, in that at the start; rate × decay, added up over the steps
        {"pull": 0.01, "decay": 0.5, "shrunk": 0.5, "taken": 0.3},
        ("decay-too-strong",),
        _gentle_decay,
    ),
)
