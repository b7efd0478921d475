"""The configuration tree: every question in the order in which they are asked, and what "healthy" needs."""

from __future__ import annotations

from minigpt.diagnosis.tree import Need, Question, Tree
from minigpt.diagnosis.trees.configuration.counting import COUNTING_QUESTIONS
from minigpt.diagnosis.trees.configuration.decay import DECAY_QUESTIONS
from minigpt.diagnosis.trees.configuration.gradients import GRADIENT_QUESTIONS
from minigpt.diagnosis.trees.configuration.layers import LAYER_QUESTIONS
from minigpt.diagnosis.trees.configuration.losses import LOSS_QUESTIONS, STEP_QUESTIONS
from minigpt.diagnosis.trees.configuration.modes import MODE_QUESTIONS
from minigpt.diagnosis.trees.configuration.nonfinite import NON_FINITE_QUESTIONS
from minigpt.diagnosis.trees.configuration.optimizer import OPTIMIZER_QUESTIONS
from minigpt.diagnosis.trees.configuration.passes import PASSES_QUESTIONS
from minigpt.diagnosis.trees.configuration.repetition import REPETITION_QUESTIONS
from minigpt.diagnosis.trees.configuration.scales import SCALE_QUESTIONS
from minigpt.diagnosis.trees.configuration.schedule import SCHEDULE_QUESTIONS
from minigpt.diagnosis.trees.configuration.soundness import SOUNDNESS_QUESTIONS
from minigpt.diagnosis.trees.configuration.start import START_QUESTIONS
from minigpt.diagnosis.trees.configuration.undeclared import UNDECLARED_QUESTIONS
from minigpt.diagnosis.trees.configuration.updates import UPDATE_QUESTIONS
from minigpt.diagnosis.trees.configuration.what_is_scored import SCORED_QUESTIONS
from minigpt.runs.evidence import Evidence
from minigpt.runs.schema import Source

QUESTIONS: tuple[Question, ...] = (
    *NON_FINITE_QUESTIONS,
    *START_QUESTIONS,
    *SCORED_QUESTIONS,
    *SCHEDULE_QUESTIONS,
    *COUNTING_QUESTIONS,
    *UNDECLARED_QUESTIONS,
    *STEP_QUESTIONS,
    *GRADIENT_QUESTIONS,
    *PASSES_QUESTIONS,
    *LOSS_QUESTIONS,
    *REPETITION_QUESTIONS,
    *SOUNDNESS_QUESTIONS,
    *MODE_QUESTIONS,
    *SCALE_QUESTIONS,
    *LAYER_QUESTIONS,
    *OPTIMIZER_QUESTIONS,
    *DECAY_QUESTIONS,
    *UPDATE_QUESTIONS,
)
FEW = 20  # steps after which a run should have noted a loss


def _log(evidence: Evidence) -> bool:
    return evidence.source is Source.LOG


def _no_loss(evidence: Evidence) -> bool:
    """A loop may be watched and its losses never noted."""
    return not _log(evidence) and len(evidence.metrics) >= FEW and not len(evidence.metrics.column("loss")[0])


CONFIGURATION = Tree(
    "configuration",
    QUESTIONS,
    health=(
        Need(_log, answered=("4.1",)),  # which asks for a log long enough to show a falling loss
        Need(_log, passed=("4.1b",)),  # nor is one healthy that ends in doubt
        Need(_no_loss, passed=("4.1b",)),
    ),
    reserved=("1.4", "2.1"),  # target alignment, and a schedule that nobody declared
)
