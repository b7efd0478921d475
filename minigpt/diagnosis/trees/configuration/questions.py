"""Every question of the stability check, in the order in which they are asked."""

from __future__ import annotations

from minigpt.diagnosis.tree import Question
from minigpt.diagnosis.trees.configuration.gradients import GRADIENT_QUESTIONS
from minigpt.diagnosis.trees.configuration.losses import LOSS_QUESTIONS, STEP_QUESTIONS
from minigpt.diagnosis.trees.configuration.nonfinite import NON_FINITE_QUESTIONS
from minigpt.diagnosis.trees.configuration.optimizer import OPTIMIZER_QUESTIONS
from minigpt.diagnosis.trees.configuration.schedule import SCHEDULE_QUESTIONS
from minigpt.diagnosis.trees.configuration.soundness import SOUNDNESS_QUESTIONS
from minigpt.diagnosis.trees.configuration.start import START_QUESTIONS
from minigpt.diagnosis.trees.configuration.undeclared import UNDECLARED_QUESTIONS

QUESTIONS: tuple[Question, ...] = (
    *NON_FINITE_QUESTIONS,
    *START_QUESTIONS,
    *SCHEDULE_QUESTIONS,
    *UNDECLARED_QUESTIONS,
    *STEP_QUESTIONS,
    *GRADIENT_QUESTIONS,
    *LOSS_QUESTIONS,
    *SOUNDNESS_QUESTIONS,
    *OPTIMIZER_QUESTIONS,
)
