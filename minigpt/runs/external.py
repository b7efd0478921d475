"""The settings of an external loop, as declared or observed.

The names are those of `minigpt.config.Config`, so a question of the tree reads both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigpt.runs.schema import Rehearsal


@dataclass(frozen=True)
class Asked:
    """The settings of an external loop; None where nothing is known."""

    vocab_size: int | None = None
    schedule: tuple[tuple[int, ...], tuple[float, ...]] | None = None  # steps, rates asked for there
    warmup_steps: int = 0
    accumulation: int = 1
    clip_norm: float | None = None
    weight_decay: float = 0.0  # 0: no matrix is expected to decay
    beta1: float = 0.9
    beta2: float = 0.999
    freeze: tuple[str, ...] = ()
    groups: Mapping[str, float] = field(default_factory=dict)  # rate of a group ÷ the schedule
    norm_position: str = "pre"

    @property
    def lr_max(self) -> float:
        """The highest rate asked for."""
        return max(self.schedule[1]) if self.schedule else 0.0

    def rates(self, steps: NDArray) -> NDArray[np.float64]:
        """Return the rate asked for at each of `steps`, interpolated between known ones."""
        at, rates = self.schedule
        slope = (rates[1] - rates[0]) / (at[1] - at[0]) if len(at) > 1 else 0.0
        return np.interp(steps, at, rates) + np.minimum(np.asarray(steps) - at[0], 0) * slope

    def stretched(self, steps: NDArray, unit: int) -> Iterator[NDArray[np.float64]]:
        """Yield the rates of a schedule whose counter is off by the factor `unit`, either way."""
        yield self.rates((steps + 1) / unit - 1)  # the end of a step stands for it
        yield self.rates(steps / unit)
        yield self.rates(steps // unit)
        for offset in (0, unit - 1, unit):  # first or last one counted, or all of them already
            yield self.rates(steps * unit + offset)

    def multipliers(self) -> dict[str, float]:
        """Return the declared multiplier of each group that has one."""
        return dict(self.groups)

    def frozen(self) -> list[str]:
        """Return the prefixes of parameters that were declared frozen."""
        return list(self.freeze)


def asked_of(declared: Mapping[str, Any], rehearsal: Rehearsal) -> Asked:
    """Return the settings of a monitored loop, from its manifest and its first steps."""
    steps, rates = rehearsal.schedule or ((), ())
    beta1, beta2 = rehearsal.betas or (Asked.beta1, Asked.beta2)
    return Asked(
        vocab_size=declared.get("vocab_size"),
        warmup_steps=declared.get("warmup_steps", 0),
        freeze=tuple(declared.get("freeze", ())),
        groups=declared.get("multipliers") or {},
        schedule=(tuple(steps), tuple(rates)) if rates else None,
        accumulation=rehearsal.accumulation or 1,
        clip_norm=rehearsal.clip_norm,
        weight_decay=rehearsal.weight_decay or 0.0,
        beta1=beta1,
        beta2=beta2,
    )
