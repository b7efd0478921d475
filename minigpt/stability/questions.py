"""Every question of the stability check, in the order in which they are asked."""

from __future__ import annotations

from minigpt.stability.gradients import GRADIENT_QUESTIONS
from minigpt.stability.losses import LOSS_QUESTIONS, STEP_QUESTIONS
from minigpt.stability.optimizer import OPTIMIZER_QUESTIONS
from minigpt.stability.schedule import SCHEDULE_QUESTIONS
from minigpt.stability.soundness import SOUNDNESS_QUESTIONS
from minigpt.stability.start import START_QUESTIONS
from minigpt.stability.tree import Question

QUESTIONS: tuple[Question, ...] = (
    *START_QUESTIONS,
    *SCHEDULE_QUESTIONS,
    *STEP_QUESTIONS,
    *GRADIENT_QUESTIONS,
    *LOSS_QUESTIONS,
    *SOUNDNESS_QUESTIONS,
    *OPTIMIZER_QUESTIONS,
)
