"""Every question of the stability check, in the order in which they are asked."""

from __future__ import annotations

from minigpt.stability.schedule import SCHEDULE_QUESTIONS
from minigpt.stability.start import START_QUESTIONS
from minigpt.stability.tree import Question

QUESTIONS: tuple[Question, ...] = (*START_QUESTIONS, *SCHEDULE_QUESTIONS)
