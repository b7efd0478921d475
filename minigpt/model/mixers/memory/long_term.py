"""Long-term memory: L slots of keys and values that last from step to step.

A token looks up the slots whose keys fit its query best. What is stored carries no gradient: it was written
at an earlier step, by earlier weights. A token that says the same as a slot renews that slot. Any other
takes a free one; when all are taken, the oldest makes room, or with metaplasticity the weakest.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.model.mixers.memory.complementary import nearest
from minigpt.model.mixers.memory.metaplasticity import strengthened
from minigpt.model.mixers.memory.search import exact, find_search
from minigpt.model.mixers.memory.selection import SELECTIONS

DUPLICATE = 0.99  # cosine of two keys above which they say the same
BUFFERS = ("keys", "values", "strength", "threshold", "uses", "written")


class LongTermMemory(nn.Module):
    """The slots. Read by `forward`, changed by `write`, `read_as_often` and `merge_duplicates` alone."""

    def __init__(self, config: Config):
        super().__init__()
        size, width = config.long_term_size, config.n_embd
        self.config, self.search = config, find_search(config.memory_search)
        self.select = SELECTIONS[config.memory_selection]
        self.novel = True  # a token that says the same as a slot takes no other
        self.keys, self.values = torch.zeros(size, width), torch.zeros(size, width)
        self.strength = torch.ones(size)  # multiplies the weight of a slot
        self.threshold = torch.ones(size)  # of metaplasticity
        self.uses = torch.zeros(size)  # sum of the weights that it was read with
        self.written = torch.full((size,), -1, dtype=torch.long)  # at which step
        self.count = 0  # slots that are taken
        self.writes = 0  # so far

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Read for queries (B, T, C).

        Returns:
            What was read, (B, T, C), 0 as long as nothing is stored; and how much each slot was read, (L,).
        """
        if not self.count:
            return torch.zeros_like(query), query.new_zeros(len(self.keys))
        keys, values = self.keys[: self.count].to(query.dtype), self.values[: self.count].to(query.dtype)
        flat = query.flatten(0, 1)
        logits, found = self._look_up(flat, keys, min(self.config.memory_reads, self.count))  # (N, k) each
        weights = (logits / math.sqrt(query.shape[-1]) + self.strength.log()[found]).softmax(-1)
        weights = self.select(weights.view(*query.shape[:2], -1)).flatten(0, 1)  # (N, k)
        read, slots = self._sum(weights, found, values)
        return read.view_as(query), F.pad(slots, (0, len(self.keys) - self.count))

    def _look_up(self, queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the inner products of `queries` (N, C) with their `k` best keys, and which those are."""
        if self.search is exact:  # the products are there anyway: nothing is computed twice, or copied
            return (queries @ keys.mT).topk(k)
        found = self.search(queries.detach(), keys, k)
        return (keys[found] @ queries[..., None])[..., 0], found

    def _sum(self, weights: Tensor, found: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ weight · value of the slots found, (N, C), and the sum of each slot's weights in fp32."""
        if self.search is exact:
            spread = weights.new_zeros(len(weights), len(values)).scatter(1, found, weights)  # (N, slots)
            return spread @ values, spread.detach().float().sum(0)
        slots = torch.zeros(len(values), device=values.device)
        slots = slots.index_add(0, found.flatten(), weights.detach().flatten().float())
        return (weights[:, None] @ values[found])[:, 0], slots

    def write(self, keys: Tensor, values: Tensor, step: int) -> None:
        """Store tokens, (N, C) each, one after the other."""
        for key, value in zip(keys, values, strict=True):
            taken, config = self.keys[: self.count], self.config
            if config.complementary and (near := nearest(key, taken)) is not None:
                self.keys[near] += config.complementary_rate * (key - self.keys[near])
                self.values[near] += config.complementary_rate * (value - self.values[near])
            else:
                same = nearest(key, taken, DUPLICATE) if self.novel else None
                self._store(self._free_slot() if same is None else same, key, value, step)
        self.writes += 1

    def _free_slot(self) -> int:
        if self.count < len(self.keys):
            self.count += 1
            return self.count - 1
        return int((self.strength if self.config.metaplasticity else self.written).argmin())

    def _store(self, slot: int, key: Tensor, value: Tensor, step: int) -> None:
        self.keys[slot], self.values[slot] = key, value
        self.strength[slot] = self.threshold[slot] = 1.0
        self.uses[slot], self.written[slot] = 0.0, step

    def read_as_often(self, slots: Tensor, tokens: int) -> None:
        """Take note of how much each slot (L,) was read in a step of `tokens` tokens."""
        self.uses = self.uses + slots
        if self.config.metaplasticity and self.count:
            reads = slots * self.count / tokens  # 1 is an even share
            changed = strengthened(self.strength, self.threshold, reads, self.config.metaplasticity_tau)
            taken = torch.arange(len(self.keys), device=slots.device) < self.count
            self.strength = torch.where(taken, changed[0], self.strength)
            self.threshold = torch.where(taken, changed[1], self.threshold)

    def duplicates(self) -> Tensor:
        """Return which taken slots say the same as an earlier one, (count,) booleans."""
        keys = F.normalize(self.keys[: self.count], dim=-1)
        return ((keys @ keys.mT).tril(-1) > DUPLICATE).any(-1)

    def merge_duplicates(self) -> None:
        """Empty the slots that say the same as an earlier one."""
        kept = (~self.duplicates()).nonzero()[:, 0]
        for name in BUFFERS:
            buffer = getattr(self, name)
            buffer[: len(kept)] = buffer[kept]
        self.count = len(kept)
