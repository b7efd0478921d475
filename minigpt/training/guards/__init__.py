"""Guards: parts of a recipe that may change the run, as callbacks may not.

    recipe = dataclasses.replace(Recipe(config), guards=(MyGuard(),))

`minigpt.training.guards.guard` says what a guard is.
"""

from minigpt.training.guards.guard import (
    CONTINUE,
    Decision,
    Guard,
    GuardError,
    ask,
    refuse_contradictions,
    together,
)

__all__ = ["CONTINUE", "Decision", "Guard", "GuardError", "ask", "refuse_contradictions", "together"]
