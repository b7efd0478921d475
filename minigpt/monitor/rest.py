"""What a monitor may leave out between two steps that it looks at closely.

The hooks on the logits are a good part of what it adds to a small model's step. In a loop that scores a token
for each that it reads, and makes one backward pass for each forward pass, the witness of the gradients
(`minigpt.monitor.gradients`) tells of the same backward passes, and the call of the model of the same tokens.
"""

from __future__ import annotations

from minigpt.monitor.gradients import Gradients
from minigpt.monitor.hooks import ModelHooks

FROM = 100  # steps in which the loop is watched first; then
EVERY = 50  # one step of so many is looked at closely,
LATE, LATE_EVERY = 1000, 100  # and one of so many where it has gone on for long
EARLY_EVERY = 25  # while the loop is watched in each


def quiet(step: int) -> bool:
    """Return whether a step, counted from 0, is one of those between."""
    return step >= FROM and not look(step)


def look(step: int) -> bool:
    """Return whether what changes slowly is looked at in this step."""
    every = EARLY_EVERY if step < FROM else EVERY if step < LATE else LATE_EVERY
    return step > 0 and step % every == 0


class Rest:
    """Whether the hooks on the logits are off."""

    def __init__(self, hooks: ModelHooks, gradients: Gradients):
        self._hooks, self._gradients = hooks, gradients
        self._alike = True  # whether both ways told the same so far
        self._passes = 1  # forward passes before each backward pass
        self.now = False

    def compare(self, read: list[int], scored: int) -> None:
        """Compare, after a backward pass, the tokens of the forward passes before it with those scored."""
        self._passes = len(read)
        if sum(read) != scored:
            self._alike = False

    def scored(self, read: list[int]) -> int:
        """Return how many tokens a backward pass scored, by the forward passes before it.

        Another number of them than in earlier steps ends the rest.
        """
        if len(read) != self._passes:
            self.end()
        return sum(read[-self._passes :])

    def end_step(self, steps: int, one_each: bool) -> None:
        """Take the hooks away, or set them again, for the step after the first `steps`.

        Args:
            one_each: whether the first step scored a token for each that was given.
        """
        if steps < FROM:
            return
        if steps == FROM:
            self._alike &= one_each and self._hooks.may_rest and self._gradients.watch_witness()
        self._set(self._alike and quiet(steps))

    def end(self) -> None:
        """Listen to every step from now on, for one was not like those before."""
        self._alike = False
        self._set(False)

    def _set(self, rests: bool) -> None:
        if rests != self.now:
            self.now = self._gradients.resting = rests
            self._hooks.listen(to_logits=not rests)
