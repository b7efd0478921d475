"""What the gradients of the first step tell of a loop: what its loss scores, and where logits are made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.targets import (
    Scored,
    accumulation_ratio,
    is_negated,
    mean_nats,
    read_gradient,
    start_evidence,
)
from minigpt.runs.thresholds import NEXT_TOKEN_SHARE

BY_ROWS = 0.5  # share of the targets that follow from the tokens of a row, where rows are rows


class FirstStep:
    """Collects the logits whose gradient came during the first step, by backward pass."""

    def __init__(self) -> None:
        self.by_rows = False  # whether the tokens are (B, T), as the targets show
        self.predicts = False  # whether the targets are tokens to come
        self.micros: list[Scored | None] = []  # None where more than one gradient came, or no cross-entropy's
        self.negated: bool | None = None  # whether all that came was of cross-entropies that are made to grow
        self._arrived: list[tuple[nn.Module, Scored | None]] = []  # in the current backward pass
        self._read: list[tuple[nn.Module, Scored | None]] = []  # in those before it

    def read(
        self, ids: Tensor | None, logits: Tensor | None, gradient: Tensor, source: nn.Module, scale: float
    ) -> None:
        """Read the gradient of some logits."""
        scored = None if logits is None else read_gradient(ids, logits, gradient, scale)
        self._arrived.append((source, scored))
        negated = logits is not None and scored is None and is_negated(logits, gradient, scale)
        self.negated = negated and self.negated is not False

    def end_backward(self, filled: bool, afresh: bool) -> None:
        """A backward pass is over.

        Args:
            filled: whether it left gradients; else it was made for another purpose.
            afresh: whether there was none before it, so that it begins the step.
        """
        if filled and afresh:
            self.micros, self._read = [], []
        if filled and self._arrived:
            own = self._own(self._arrived)
            self.micros.append(own[0] if len(own) == 1 else None)
            self._read += self._arrived
        self._arrived = []

    def rescale(self, scale: float) -> None:
        """Take out a factor on the loss that was not known of."""
        self.micros = [
            micro and replace(micro, weight=micro.weight and micro.weight / scale) for micro in self.micros
        ]

    @property
    def source(self) -> nn.Module | None:
        """Where the logits are made; None where no gradient came."""
        return self._source_of(self._read)

    @property
    def nats(self) -> float | None:
        """The mean cross-entropy of all that was scored, None where something else was scored, too."""
        own = self._own(self._read)
        return None if None in own else mean_nats(own)

    def _own(self, arrived: list[tuple[nn.Module, Scored | None]]) -> list[Scored | None]:
        """Return what was scored, and None for other losses of the same logits; other layers say nothing."""
        head = self._source_of(arrived)
        return [scored for source, scored in arrived if scored is not None or source is head]

    @staticmethod
    def _source_of(arrived: list[tuple[nn.Module, Scored | None]]) -> nn.Module | None:
        scored = [source for source, scored in arrived if scored is not None]
        return next(iter(scored or [source for source, _ in arrived]), None)

    @property
    def complete(self) -> bool:
        """Whether every micro-batch could be read."""
        return bool(self.micros) and None not in self.micros

    def evidence(self, hooks: ModelHooks) -> dict[str, Any]:
        """Return the evidence of the tree's section 1."""
        evidence: dict[str, Any] = {}
        if self._read:
            evidence["cross_entropy"] = self.nats
        elif not hooks.knows_vocabulary:
            evidence["vocabulary_found"] = False
        scored = [scored for source, scored in self._read if source is self.source and scored]
        bias = hooks.bias_of(self.source)
        if hooks.head is not None:
            evidence["head_bias_max"] = 0.0 if bias is None else bias.abs().max().item()
        if scored:
            evidence["vocab_size"] = scored[0].classes
            if (loss := _bias_loss(bias, scored[0].sample)) is not None:
                evidence["head_bias_loss"] = loss
        if not self.complete:
            return evidence
        evidence |= start_evidence(self.micros)
        if (ahead := self._ahead(hooks.felt)) is not None:
            evidence["targets_ahead"] = ahead
        if shares := evidence.get("target_offset_share"):
            to_come = max(share for offset, share in shares.items() if offset != "0") >= NEXT_TOKEN_SHARE
            gradient = None
            self.predicts = to_come
            turned = any(micro.time_first for micro in self.micros)
            self.by_rows = not turned and max(shares.values()) >= BY_ROWS
            if not turned and (to_come or max(shares.values()) < NEXT_TOKEN_SHARE):
                gradient = hooks.future_gradient(self.micros[-1].mask)
            # a model that fills in what was masked, or finds a class, is meant to read a sequence as a whole
            if gradient is not None and (to_come or gradient == 0):
                evidence["future_gradient"] = gradient
        return evidence

    def _ahead(self, felt: Tensor | None) -> int | None:
        """Return how far the last target of a row lies behind the last token that any logit has seen.

        Args:
            felt: (B, T), tokens with a share in the loss.
        """
        asked = self.micros[-1].last_asked
        if asked is None or felt is None or len(felt) != len(asked) or (asked < 0).any():
            return None
        places = torch.arange(felt.shape[1], device=felt.device)
        return int((asked - places.where(felt, -1).amax(-1)).min())

    @property
    def accumulation_ratio(self) -> dict[str, float | None]:
        """The gradient of several micro-batches ÷ that of the whole."""
        return accumulation_ratio(self.micros) if self.complete else {"equal": None, "unequal": None}

    def shares_add_up(self, losses: list[float]) -> bool:
        """Return whether losses of micro-batches add up to that of the step, each a share, or average."""
        if self.nats is None or len(self.micros) < 2 or not losses:
            return False
        return sum(losses) / len(losses) / self.nats < len(self.micros) ** -0.5


def _bias_loss(bias: Tensor | None, targets: Tensor) -> float | None:
    """Return the mean cross-entropy of `targets`, (n,), if logits were nothing but the bias, (V,)."""
    if bias is None or not len(targets) or targets.max() >= len(bias):
        return None
    return F.cross_entropy(bias.float().expand(len(targets), -1), targets).item()
