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
SECONDS = 6  # tokens of which every second one is 0, before that is no accident
MOSTLY = 0.8  # share of the targets that are the next token, where the model predicts it
LONG_RUN = 10  # times that a token follows itself before it can be padding
MASKED = 0.6  # share of the words to fill in that a mask stands for; the others may be any word
EMPTY_ROWS = 3  # of text without any target, before that is no accident
TURNED_ROWS = 24  # whose last target is their own first token, before that is no accident


class TargetKinds:
    """Collects tokens, and what was scored of them, from a few batches."""

    def __init__(self, special: dict[str, int] | None = None, unlearnt: int | None = None):
        """Prepare.

        Args:
            special: the ids of `pad` and `end` tokens, where a config or a tokenizer says.
            unlearnt: the `padding_idx` of the table of tokens, whose row never has a gradient.
        """
        self._special, self._unlearnt = special or {}, unlearnt
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self._stream: bool | None = None

    @torch.no_grad()
    def note(self, ids: Tensor, gradient: Tensor, sign: float = 1.0) -> None:
        """Note the tokens, (B, T), and the gradient of their logits, (B, T, V), of one micro-batch."""
        if self.full or gradient.shape[:2] != ids.shape:
            return
        lowest, targets = (gradient[:ROWS] * sign).min(-1)  # (B, T) each
        self.add(ids[:ROWS], lowest < 0, targets)

    def add(self, ids: Tensor, mask: Tensor, targets: Tensor) -> None:
        """Note the tokens of one micro-batch, which of them are scored, and their targets; (B, T) each."""
        if self.full:
            return
        ids, mask, targets = (part[:ROWS].cpu() for part in (ids, mask, targets))
        if self._batches and self._stream is None:
            before = self._batches[-1]
            same = before[0].shape == ids.shape and len(ids) > 1
            self._stream = bool(same and (before[2][:, -1] == ids[:, 0]).all())
        self._batches.append((ids, mask, targets))

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
            both = sum(_scored_padding(padding, *batch) for batch in self._batches)
            found["padding_share"] = both / scored
            found["end_hidden"] = self._hidden_end(padding) if self._predicts() else ""
            # only a config can tell that what fills rows up is also meant to end a text
            found["end_is_padding"] = self._special.get("end") == padding
        # only where a target follows from the tokens is it known what a hole would have asked for
        found["hidden_word"], found["hidden_count"] = self._hidden_word() if self._predicts() else (None, 0)
        found["turned"] = self._turned() if self._predicts() else 0.0
        found["unlearnt_share"] = self._unlearnt_share(scored)
        found["empty_rows"] = self._empty_rows() if self._predicts() else 0.0
        found["covered"] = 0.0 if self._predicts() else self._covered()
        found["visible"] = 0.0 if self._predicts() else self._visible()
        found |= self._commonest(scored)
        found["interleaved"] = self._interleaved()
        return found

    def _interleaved(self) -> float:
        """Return the share of rows in which every second token is 0, and the others are not all alike.

        So are numbers of two or four bytes that are read as if they had one or two.
        """
        rows = [row for ids, _, _ in self._batches for row in ids if len(row) >= 2 * SECONDS]
        found = 0
        for row in rows:
            odd, even = row[1::2], row[::2]
            found += any((a == 0).all() and len(b.unique()) > 1 for a, b in ((odd, even), (even, odd)))
        return found / len(rows) if rows else 0.0

    def _turned(self) -> float:
        """Return the share of rows whose last target is their own first token, as a roll makes it.

        Rows that begin as most of them do say nothing: texts may begin and end alike.
        """
        begins = Counter(token for ids, _, _ in self._batches for token in ids[:, 0].tolist())
        usual = begins.most_common(1)[0][0] if begins else None
        same = asked = 0
        for ids, mask, targets in self._batches:
            here = mask[:, -1] & (ids[:, 0] != usual)
            asked += int(here.sum())
            same += int((here & (targets[:, -1] == ids[:, 0])).sum())
        return same / asked if asked >= TURNED_ROWS else 0.0

    def _empty_rows(self) -> float:
        """Return the share of rows of text that have no target at all, where others have some."""
        empty = rows = 0
        for ids, mask, _ in self._batches:
            text = (ids != ids[:, :1]).any(-1)  # (B,); a row of padding fills a batch up
            empty += int((text & ~mask.any(-1)).sum())
            rows += len(ids)
        return empty / rows if empty >= EMPTY_ROWS else 0.0

    def _covered(self) -> float:
        """Return how often the token to come is hidden from the model by one token, where it is asked for.

        So does a collator that masks words, given to a model which sees only the past.
        """
        there: Counter = Counter()
        wanted: Counter = Counter()
        for ids, mask, targets in self._batches:
            there.update(ids[:, 1:][mask[:, :-1]].tolist())
            wanted.update(targets[mask].tolist())
        if not there or len(wanted) < LONG_RUN:
            return 0.0
        token, count = there.most_common(1)[0]
        return 0.0 if wanted[token] else count / sum(there.values())

    def _visible(self) -> float:
        """Return the share of targets that stand in the input, where one token masks nearly all others.

        So it is where a model that fills in what was masked is also asked for what was not.
        """
        same = scored = 0
        masks: Counter = Counter()
        wanted: Counter = Counter()
        for ids, mask, targets in self._batches:
            equal = (ids == targets) & mask
            same, scored = same + int(equal.sum()), scored + int(mask.sum())
            masks.update(ids[mask & ~equal].tolist())
            wanted.update(targets[mask].tolist())
        token, count = (masks.most_common(1) or [(None, 0)])[0]
        alone = count >= max(LONG_RUN, MASKED * sum(masks.values())) and not wanted[token]
        return same / scored if alone and scored else 0.0

    def _unlearnt_share(self, scored: int) -> float:
        """Return the share of what is scored that is a word which the table of tokens never learns."""
        word = self._unlearnt
        # a config of a library names one whether the data know it or not
        if word is None or word in self._special.values():
            return 0.0
        inner = wanted = 0
        for ids, mask, targets in self._batches:
            alone = (ids[:, 1:-1] == word) & (ids[:, 2:] != word) & (ids[:, :-2] != word)
            inner += int(alone.sum())
            wanted += int((mask & (targets == word)).sum())
        return wanted / scored if inner >= LONG_RUN else 0.0

    def _commonest(self, scored: int) -> dict[str, Any]:
        """Return the token that is asked for most, its share, and that of the positions that are scored."""
        asked = torch.cat([targets[mask] for _, mask, targets in self._batches])
        tokens, counts = asked.unique(return_counts=True)
        positions = sum(mask.numel() for _, mask, _ in self._batches)
        return {
            "commonest": int(tokens[counts.argmax()]),
            "commonest_share": int(counts.max()) / scored,
            "dense": scored / positions,
        }

    def _predicts(self) -> bool:
        """Return whether what is scored are the tokens to come."""
        same = compared = 0
        for ids, mask, targets in self._batches:
            same += int(((targets[:, :-1] == ids[:, 1:]) & mask[:, :-1]).sum())
            compared += int(mask[:, :-1].sum())
        return same >= MOSTLY * compared

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

    def _hidden_end(self, padding: int) -> str:
        """Return which end of a text is never a target: "own" token, the "padding" itself, or "" for none."""
        ends, asked, own = 0, 0, 0
        before: Counter = Counter()
        wanted: Counter = Counter()
        for ids, mask, targets in self._batches:
            first = (ids[:, 1:-1] != padding) & (ids[:, 2:] == padding)  # (B, T − 2), the last word of a text
            shown = first & mask[:, :-2]  # what comes before it counts, so this is no masked prompt
            ends += int(shown.sum())
            asked += int((shown & mask[:, 1:-1]).sum())
            own += int(first.sum())
            before.update(ids[:, 1:-1][first].tolist())
            wanted.update(targets[mask].tolist())
        if own < LONG_RUN:
            return ""
        token, count = before.most_common(1)[0]
        if count >= 0.9 * own:  # a token of its own ends every text
            return "own" if not wanted[token] else ""
        return "padding" if ends >= LONG_RUN and not asked else ""

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


def _scored_padding(padding: int, ids: Tensor, mask: Tensor, targets: Tensor) -> int:
    """Return how many positions count where padding follows padding, whatever token they ask for."""
    follows = targets == padding
    follows[:, :-1] |= ids[:, 1:] == padding
    return int(((ids == padding) & mask & follows).sum())
