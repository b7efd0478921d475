"""The baseline a GPT has to beat: a smoothed n-gram model over token ids.

    baseline = NGram(order=5, vocab_size=512).fit(train_tokens)
    baseline.loss(validation_tokens)       # nats per token, to compare with the GPT's validation loss

Interpolated modified Kneser-Ney (Chen & Goodman, 1999): each order discounts its counts by D1, D2 or D3+ and
gives what it took to the order below, whose counts say in how many different contexts a token was seen. Below
the unigrams stands the uniform distribution, so every token has a probability.

An n-gram has an id: its row in the sorted table of its order, whose keys are (id of its first n−1 tokens) × V
+ last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
_NONE = -1  # id of an n-gram that was not seen
_DISCOUNT_UNKNOWN = 0.5  # where the counts of counts are too few to estimate one


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, by id, and their contexts, by the id of the order below."""

    keys: Ids  # (G,) sorted
    counts: NDArray[np.float64]  # (G,) after the discount
    totals: NDArray[np.float64]  # (C,) sum of a context's counts before the discount
    backoff: NDArray[np.float64]  # (C,) share of a context's mass that goes to the order below


def unigram_entropy(tokens: Sequence[int]) -> float:
    """Return the entropy of the tokens' frequencies in nats: the loss of a model that knows nothing else."""
    counts = np.unique(np.asarray(tokens), return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


class NGram:
    """An n-gram language model; `fit` before anything else."""

    def __init__(self, order: int = 5, vocab_size: int = 512):
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}")
        self.order, self.vocab_size = order, vocab_size
        self._orders: list[_Order] = []

    def fit(self, tokens: Sequence[int]) -> NGram:
        """Count the n-grams of `tokens`, ids in [0, vocab_size).

        Raises:
            ValueError: there are fewer tokens than the order, or an id out of range.
        """
        ids = np.asarray(tokens, dtype=np.int64)
        if len(ids) < self.order:
            raise ValueError(f"{len(ids)} tokens cannot be counted in {self.order}-grams")
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            raise ValueError(f"token ids must lie in [0, {self.vocab_size})")
        tables, grams = _tables(ids, self.order, self.vocab_size)
        self._orders = []
        for n in range(1, self.order + 1):
            keys, ids_here = tables[n - 1], grams[n - 1]
            if n == self.order:
                counts = np.bincount(ids_here, minlength=len(keys))
            else:  # continuation counts: in how many different (n+1)-grams is it the end?
                first = np.unique(grams[n], return_index=True)[1]
                counts = np.bincount(ids_here[first + 1], minlength=len(keys))
            contexts = len(tables[n - 2]) if n > 1 else 1
            self._orders.append(_order(keys, counts, contexts, self.vocab_size))
        return self

    def probabilities(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Return the probability of each token given those before it, (N,)."""
        ids = np.asarray(tokens, dtype=np.int64)
        probability = np.full(len(ids), 1 / self.vocab_size)
        context = np.zeros(len(ids), dtype=np.int64)  # id of the n−1 tokens before each; the empty one is 0
        grams = ids
        for n, order in enumerate(self._orders, start=1):
            if n > 1:
                # The context of position t in order n is the (n−1)-gram that ends at t−1.
                context = np.concatenate([np.full(1, _NONE), grams[:-1]])
            row = _lookup(order.keys, context, ids, self.vocab_size)
            known = (context != _NONE) & (order.totals[context] > 0)
            safe = np.where(known, context, 0)
            direct = np.where(row != _NONE, order.counts[row], 0) / np.where(known, order.totals[safe], 1)
            probability = np.where(known, direct + order.backoff[safe] * probability, probability)
            grams = row
        return probability

    def distribution(self, context: Sequence[int]) -> NDArray[np.float64]:
        """Return the probability of every token after `context`, (V,); only its last order−1 tokens count."""
        before = list(context)[-(self.order - 1) :] if self.order > 1 else []
        return np.array([self.probabilities([*before, token])[-1] for token in range(self.vocab_size)])

    def loss(self, tokens: Sequence[int]) -> float:
        """Return the mean cross-entropy of `tokens` in nats per token."""
        return float(-np.log(self.probabilities(tokens)).mean())


def _tables(ids: Ids, order: int, vocab_size: int) -> tuple[list[Ids], list[Ids]]:
    """Return, for each length, the sorted keys, and the id of the n-gram that starts at each position."""
    tables, grams = [], []
    prefix = np.zeros(len(ids), dtype=np.int64)
    for n in range(1, order + 1):
        keys, prefix = np.unique(prefix[: len(ids) - n + 1] * vocab_size + ids[n - 1 :], return_inverse=True)
        tables.append(keys)
        grams.append(prefix)
    return tables, grams


def _order(keys: Ids, counts: Ids, contexts: int, vocab_size: int) -> _Order:
    """Discount one order's counts; `contexts` is the number of n-grams in the order below."""
    context_of = keys // vocab_size
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    totals = np.bincount(context_of, weights=counts, minlength=contexts)
    freed = np.bincount(context_of, weights=discounts, minlength=contexts)
    backoff = np.divide(freed, totals, out=np.ones(contexts), where=totals > 0)
    return _Order(keys, counts - discounts, totals, backoff)


def _discounts(counts: Ids) -> NDArray[np.float64]:
    """Return D0 (always 0), D1, D2, D3+ from the counts of counts (Chen & Goodman, equation 26)."""
    n1, n2, n3, n4 = (int((counts == value).sum()) for value in range(1, 5))
    if not all((n1, n2, n3, n4)):
        return np.array([0, *[_DISCOUNT_UNKNOWN] * 3])
    y = n1 / (n1 + 2 * n2)
    found = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return np.array([0, *(d if 0 < d < n else _DISCOUNT_UNKNOWN for n, d in enumerate(found, start=1))])


def _lookup(keys: Ids, context: Ids, ids: Ids, vocab_size: int) -> Ids:
    """Return the ids of the n-grams (context, token), `_NONE` where the n-gram was not seen."""
    wanted = context * vocab_size + ids
    row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((context != _NONE) & (keys[row] == wanted), row, _NONE)
