"""What is known of the settings of a loop that is not ours: little, and only what was declared or seen.

The names are those of `minigpt.config.Config`, so the questions of the tree ask both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Asked:
    """The settings of a foreign loop; None where nothing is known."""

    vocab_size: int | None = None
    schedule: tuple[tuple[int, ...], tuple[float, ...]] | None = None  # steps, and the rate asked for there
    warmup_steps: int = 0
    accumulation: int = 1
    clip_norm: float | None = None
    weight_decay: float = 0.0  # where a loop decays nothing, no matrix lacks its decay
    beta1: float = 0.9
    beta2: float = 0.999
    freeze: tuple[str, ...] = ()
    groups: Mapping[str, float] = field(default_factory=dict)  # what a group learns at ÷ the schedule
    norm_position: str = "pre"

    @property
    def lr_max(self) -> float:
        """The highest rate asked for."""
        return max(self.schedule[1]) if self.schedule else 0.0

    def rates(self, steps: NDArray) -> NDArray[np.float64]:
        """Return the rate asked for at each of `steps`, which may lie between two or before the first."""
        at, rates = self.schedule
        slope = (rates[1] - rates[0]) / (at[1] - at[0]) if len(at) > 1 else 0.0
        return np.interp(steps, at, rates) + np.minimum(np.asarray(steps) - at[0], 0) * slope

    def stretched(self, steps: NDArray, unit: int) -> Iterator[NDArray[np.float64]]:
        """Yield the rates of a schedule that counts `unit` of something in each step, or the reverse."""
        yield self.rates((steps + 1) / unit - 1)  # the end of a step stands for it
        yield self.rates(steps / unit)
        yield self.rates(steps // unit)
        for offset in (0, unit - 1, unit):  # first or last one counted, or all of them already
            yield self.rates(steps * unit + offset)

    def multipliers(self) -> dict[str, float]:
        """Return by group what was declared to be faster or slower than the schedule."""
        return dict(self.groups)

    def frozen(self) -> list[str]:
        """Return the parameter prefixes that were declared not to learn."""
        return list(self.freeze)
