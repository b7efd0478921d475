"""The guards that a config switches on."""

from __future__ import annotations

from minigpt.config import Config
from minigpt.training.guards.finite import Finite
from minigpt.training.guards.guard import Guard
from minigpt.training.guards.rate import Rate
from minigpt.training.guards.spikes import Spikes

# settings that mean nothing where no guard goes back; these two never do
OF_SNAPSHOTS, STAYS = ("snapshot_every", "snapshots"), (Finite, Rate)


def guards_of(config: Config) -> tuple[Guard, ...]:
    """Return them in the order in which they are asked."""
    found: list[Guard] = []
    if config.guard_finite:
        found.append(Finite(scaled=config.precision == "fp16"))
    if config.guard_spikes:
        found.append(Spikes(config.spike_z, config.spike_window, config.rollbacks, config.spike_on))
    if config.guard_rate:
        found.append(Rate(config.rate_jump))
    return tuple(found)
