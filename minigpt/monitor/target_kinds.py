"""Which kinds of tokens a loss scores: is padding among them, does the end token ever stand as a target?

Padding shows by itself: a token that, once it has begun, goes on to the end of its row (or from its start) in
every row that was seen. What a mask hides shows in its holes: positions without a gradient whose neighbours
have one, and whose target would always have been the same token.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

BATCHES = 12  # that are looked at, the first ones and some later
ROWS = 64  # of a batch
LONG_RUN = 10  # times that a token follows itself before it can be padding


class TargetKinds:
    """Collects tokens, and what was scored of them, from a few batches."""

    def __init__(self, special: dict[str, int] | None = None):
        """Prepare; `special` holds the ids of `pad` and `end` tokens, where a config or a tokenizer says."""
        self._special = special or {}
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self._stream: bool | None = None

    @torch.no_grad()
    def note(self, ids: Tensor, gradient: Tensor, sign: float = 1.0) -> None:
        """Note the tokens, (B, T), and the gradient of their logits, (B, T, V), of one micro-batch."""
        if len(self._batches) >= BATCHES or gradient.shape[:2] != ids.shape:
            return
        ids, gradient = ids[:ROWS], gradient[:ROWS]
        lowest, targets = (gradient * sign).min(-1)  # (B, T) each
        if self._batches and self._stream is None:
            before = self._batches[-1]
            same = before[0].shape == ids.shape and len(ids) > 1
            self._stream = bool(same and (before[2][:, -1].cpu() == ids[:, 0].cpu()).all())
        self._batches.append((ids.cpu(), (lowest < 0).cpu(), targets.cpu()))

    @property
    def is_stream(self) -> bool:
        """Whether a batch goes on where the one before it ended, as a text that is read in order does."""
        return bool(self._stream)

    @property
    def full(self) -> bool:
        """Whether enough batches were seen."""
        return len(self._batches) >= BATCHES

    def evidence(self) -> dict[str, Any] | None:
        """Return what was seen of padding, of an end that is never asked for, and of hidden words."""
        if not self._batches:
            return None
        scored = sum(int(mask.sum()) for _, mask, _ in self._batches)
        if not scored:
            return None
        padding = self._padding()
        found: dict[str, Any] = {"scored": scored, "padding": padding, "padding_share": 0.0}
        if padding is not None:
            both = sum(
                int(((ids == padding) & mask & (targets == padding)).sum())
                for ids, mask, targets in self._batches
            )
            found["padding_share"] = both / scored
            end = self._hidden_end(padding)
            # how sure it is that a token that only fills rows is also meant to end them
            found["end_hidden"] = end
            found["end_elsewhere"] = self._special.get("end", padding) != padding
        found["hidden_word"], found["hidden_count"] = self._hidden_word()
        return found

    def _padding(self) -> int | None:
        """Return the token that fills rows up, None where there is none."""
        last: Counter = Counter()
        for ids, _, _ in self._batches:
            for column in (ids[:, -2:], ids[:, :2]):
                if ids.shape[1] > 3:
                    alike = column[:, 0] == column[:, 1]
                    last.update(column[alike, 0].tolist())
        for token, _ in last.most_common(2):
            again = leaves = enters = 0
            for ids, _, _ in self._batches:
                here, there = ids[:, :-1] == token, ids[:, 1:] == token
                again += int((here & there).sum())
                leaves += int((here & ~there).sum())
                enters += int((~here & there).sum())
            if again >= LONG_RUN and (leaves == 0 or enters == 0) and leaves + enters:
                return token
        return None

    def _hidden_end(self, padding: int) -> bool:
        """Return whether the first token of the padding, which ends a text, is never a target."""
        ends = asked = 0
        before: Counter = Counter()
        for ids, mask, _ in self._batches:
            first = (ids[:, :-1] != padding) & (ids[:, 1:] == padding)  # (B, T − 1)
            was_scored = torch.zeros_like(first)
            was_scored[:, 1:] = mask[:, :-2]  # the position before it counts, so this is no masked prompt
            ends += int((first & was_scored).sum())
            asked += int((first & was_scored & mask[:, :-1]).sum())
            before.update(ids[:, :-1][first & was_scored].tolist())
        if ends < LONG_RUN or asked:
            return False
        # where the same token always stands there, that one is the end
        return before.most_common(1)[0][1] < 0.9 * ends

    def _hidden_word(self) -> tuple[int | None, int]:
        """Return the token that every hole in the mask has as its target, and how many holes there are."""
        would_be: Counter = Counter()
        wanted: Counter = Counter()
        for ids, mask, targets in self._batches:
            hole = ~mask[:, 1:-1] & mask[:, :-2] & mask[:, 2:]
            would_be.update(ids[:, 2:][hole].tolist())
            wanted.update(targets[mask].tolist())
        if not would_be:
            return None, 0
        token, count = would_be.most_common(1)[0]
        holes = sum(would_be.values())
        if count < LONG_RUN or count < 0.95 * holes or wanted[token]:
            return None, holes
        return token, count
