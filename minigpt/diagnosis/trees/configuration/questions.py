"""Every question of the stability check, in the order in which they are asked."""

from __future__ import annotations

from minigpt.diagnosis.tree import Question
from minigpt.diagnosis.trees.configuration.counting import COUNTING_QUESTIONS
from minigpt.diagnosis.trees.configuration.gradients import GRADIENT_QUESTIONS
from minigpt.diagnosis.trees.configuration.losses import LOSS_QUESTIONS, STEP_QUESTIONS
from minigpt.diagnosis.trees.configuration.modes import MODE_QUESTIONS
from minigpt.diagnosis.trees.configuration.optimizer import OPTIMIZER_QUESTIONS
from minigpt.diagnosis.trees.configuration.passes import PASSES_QUESTIONS
from minigpt.diagnosis.trees.configuration.repetition import REPETITION_QUESTIONS
from minigpt.diagnosis.trees.configuration.scales import SCALE_QUESTIONS
from minigpt.diagnosis.trees.configuration.schedule import SCHEDULE_QUESTIONS
from minigpt.diagnosis.trees.configuration.soundness import SOUNDNESS_QUESTIONS
from minigpt.diagnosis.trees.configuration.start import START_QUESTIONS
from minigpt.diagnosis.trees.configuration.updates import UPDATE_QUESTIONS
from minigpt.diagnosis.trees.configuration.what_is_scored import SCORED_QUESTIONS

QUESTIONS: tuple[Question, ...] = (
    *START_QUESTIONS,
    *SCORED_QUESTIONS,
    *SCHEDULE_QUESTIONS,
    *COUNTING_QUESTIONS,
    *STEP_QUESTIONS,
    *GRADIENT_QUESTIONS,
    *PASSES_QUESTIONS,
    *LOSS_QUESTIONS,
    *REPETITION_QUESTIONS,
    *SOUNDNESS_QUESTIONS,
    *MODE_QUESTIONS,
    *SCALE_QUESTIONS,
    *OPTIMIZER_QUESTIONS,
    *UPDATE_QUESTIONS,
)
