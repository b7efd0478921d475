"""What the backward passes since the last optimizer step add up to: tokens, micro-batches, gradient norms."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(slots=True)
class StepCounts:
    """Counts of the optimizer step in progress; a new one begins after each step.

    A token is one that the model was given, a position one whose logits a loss read.
    """

    micros: int = 0  # micro-batches whose gradients are waiting
    tokens: int = 0  # of those micro-batches
    positions: int = 0
    new_tokens: int = 0  # of the current backward pass
    new_positions: int = 0
    logits_seen: bool = False  # whether that backward pass came to some logits
    turn: int = 0  # number of the forward pass whose tokens were counted last
    norm: Tensor | None = None  # of all gradients after the newest backward pass
    before_clip: Tensor | None = None  # of one gradient, in steps that are asked whether they were clipped
    more: dict[str, float] = field(default_factory=dict)  # figures that were given with a loss

    def count_logits(self, ids: Tensor | None, positions: int, turn: int, one_each: bool) -> None:
        """Count what a loss read of some logits.

        Args:
            ids: the tokens of that forward pass, None where nobody saw them.
            turn: its number.
            one_each: whether a token is scored for each that is given.
        """
        self.new_positions += positions
        if one_each:
            self.new_tokens += positions
        elif ids is not None and turn != self.turn:  # logits may come in pieces, and be scored twice
            self.new_tokens += ids.numel()
            self.turn = turn
        self.logits_seen = True

    def count_scored(self, scored: int) -> None:
        """Count a backward pass by the tokens that its forward pass was given."""
        self.new_tokens = self.new_positions = scored
        self.logits_seen = True

    def add_backward(self, afresh: bool) -> None:
        """Add the backward pass that is over to the step.

        Args:
            afresh: whether no gradients were waiting before it, so that it begins the step.
        """
        if afresh:
            self.micros = self.tokens = self.positions = 0
        self.micros += self.logits_seen
        self.tokens += self.new_tokens
        self.positions += self.new_positions

    def end_backward(self) -> None:
        """Make ready for the next backward pass."""
        self.new_tokens = self.new_positions = 0
        self.logits_seen = False

    def unscale(self, scale: float) -> None:
        """Take a factor on the loss out of the norms."""
        if self.norm is not None:
            self.norm = self.norm / scale
        if self.before_clip is not None:
            self.before_clip = self.before_clip / scale
