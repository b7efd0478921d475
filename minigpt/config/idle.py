"""Settings that another setting makes idle: whoever changes one expects an effect."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from minigpt.config.rules import BACK, CLIPPERS_LEARN, RATE_STEPS
from minigpt.config.sections import MemoryConfig
from minigpt.config.values import ConfigError

if TYPE_CHECKING:
    from minigpt.config.config import Config

NEEDS = {  # settings that have no effect unless another one has a certain value, or one of some
    "qk_norm": ("mixer", ("attention", "memory")),
    "state_space_expand": ("mixer", ("state_space", "two_streams")),
    "state_space_size": ("mixer", ("state_space", "two_streams")),
    "state_space_conv": ("mixer", ("state_space", "two_streams")),
    "integration": ("mixer", "two_streams"),
    "spikes_read": ("mixer", "two_streams"),
    "cross_attention_heads": ("mixer", "two_streams"),
    "gate_heads": ("mixer", "two_streams"),
    "plasticity_rate": ("plasticity", ("pair", "triplet", "homeostatic", "bcm")),
    "plasticity_tau": ("plasticity", ("pair", "triplet", "homeostatic", "bcm")),
    "meta_plasticity": ("plasticity", ("pair", "triplet", "homeostatic", "bcm")),
    **{entry.name: ("mixer", "memory") for entry in fields(MemoryConfig)},
    "consolidation_chance": ("consolidation", "random"),
    "sleep_steps": ("consolidation", "sleep"),
    "complementary_rate": ("complementary", True),
    "metaplasticity_tau": ("metaplasticity", True),
    "homeostasis_target": ("homeostasis", True),
    "homeostasis_tau": ("homeostasis", True),
    "decay_share": ("schedule", "wsd"),
    "drops": ("schedule", "step"),
    "drop_factor": ("schedule", "step"),
    "loss_scale": ("precision", "fp16"),
    "loss_scale_growth": ("precision", "fp16"),
    "loss_scale_backoff": ("precision", "fp16"),
    "loss_scale_interval": ("precision", "fp16"),
    "spike_z": ("guard_spikes", True),
    "spike_window": ("guard_spikes", True),
    "spike_on": ("guard_spikes", True),
    "rollbacks": ("guard_spikes", True),
    "rate_jump": ("guard_rate", True),
}
USUAL_EWC = 10_000  # a strength that keeps part of the first task, and leaves room for the second


def refuse_idle(config: Config) -> None:
    """Refuse a setting that was changed and has no effect.

    Raises:
        ConfigError: names the setting, and the one that makes it idle.
    """
    for name, (other, wanted) in NEEDS.items():
        changed = getattr(config, name) != type(config).__dataclass_fields__[name].default
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if changed and getattr(config, other) not in allowed:
            raise ConfigError(
                "config.idle",
                name=name,
                given=getattr(config, name),
                other=other,
                value=getattr(config, other),
                wanted=allowed[0],
            )
    if config.ewc_rows != type(config).ewc_rows and not config.ewc:
        values = {"name": "ewc_rows", "given": config.ewc_rows, "other": "ewc", "value": config.ewc}
        raise ConfigError("config.idle", **values, wanted=USUAL_EWC)
    if config.consolidation == "random" and config.consolidation_interval is not None:
        raise ConfigError("config.idle-interval", given=config.consolidation_interval)
    _refuse_idle_guards(config)


def _refuse_idle_guards(config: Config) -> None:
    """Refuse what would act after the end of the run only, and snapshots that no rollback could reach.

    Raises:
        ConfigError: names the setting.
    """
    steps, window = config.steps, config.spike_window
    if window > steps and window != type(config).spike_window:
        raise ConfigError("config.window-longer-than-run", window=window, steps=steps)
    if config.guard_rate and steps <= RATE_STEPS:
        raise ConfigError("config.rate-never-judged", needed=RATE_STEPS, steps=steps)
    if steps <= (learns := CLIPPERS_LEARN.get(config.clipper, 0)):
        raise ConfigError("config.clipper-never-learns", clipper=config.clipper, needed=learns, steps=steps)
    every, count = config.snapshot_every, config.snapshots
    reach = (count - 1) * every  # right after the newest one was taken
    if config.guard_spikes and config.rollbacks and reach < BACK and reach + every < steps:
        raise ConfigError("config.snapshots-out-of-reach", count=count, every=every, reach=reach, far=BACK)
