"""Sleep and wake: by day the most-read tokens are kept aside, by night they go to the long-term memory.

A day and a night take `consolidation_interval` steps, the last `sleep_steps` of them the night. At its end
slots that say the same are made one, and the day's notes are gone.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Day:
    """The most-read tokens of a day, at most `size` of them."""

    def __init__(self, size: int, width: int):
        self.size = size
        self.keys, self.values, self.use = torch.zeros(0, width), torch.zeros(0, width), torch.zeros(0)

    def keep(self, keys: Tensor, values: Tensor, use: Tensor) -> None:
        """Take in (N, C) candidates that were read `use` (N,) much; the least read make room."""
        keys, values = torch.cat([self.keys.to(keys), keys]), torch.cat([self.values.to(values), values])
        use = torch.cat([self.use.to(use), use])
        best = use.argsort(descending=True, stable=True)[: self.size]
        self.keys, self.values, self.use = keys[best], values[best], use[best]

    def take(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the `count` most-read tokens, and keep the rest."""
        taken = self.keys[:count], self.values[:count]
        self.keys, self.values, self.use = self.keys[count:], self.values[count:], self.use[count:]
        return taken

    def end(self) -> None:
        """Forget what the night left over."""
        self.take(len(self.keys))


def asleep(step: int, interval: int, sleep_steps: int) -> bool:
    """Return whether `step` is one of the last `sleep_steps` of its interval."""
    return step % interval >= interval - sleep_steps


def wakes(step: int, interval: int) -> bool:
    """Return whether the night ends with `step`."""
    return (step + 1) % interval == 0
