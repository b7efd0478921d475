"""The frozen description of a run: every setting of every section in one object.

    config = Config(n_layer=4, n_embd=128)
    config = config.replace(lr_max=1e-3)
    config.section("schedule")              # a ScheduleConfig

A value out of range or two settings that contradict each other are refused at construction, in one sentence.
One name serves as keyword, YAML key, command-line flag (`--lr-max`) and environment variable
(`MINIGPT_LR_MAX`). A YAML file may also group the names by section:

    schedule:
      lr_max: 0.001
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from minigpt.config.sections import (
    SECTIONS,
    DataConfig,
    GuardsConfig,
    InstrumentsConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainerConfig,
)
from minigpt.config.values import ConfigError, typed
from minigpt.messages import nearest

AT_LEAST_ONE = (
    *("vocab_size", "context", "n_layer", "n_head", "n_embd"),
    *("state_space_expand", "state_space_size", "state_space_conv"),
    *("batch_size", "accumulation", "steps", "eval_batches", "snapshot_every", "snapshots"),
    "spike_window",
)
NEEDS = {  # settings that have no effect unless another one has a certain value
    "qk_norm": ("mixer", "attention"),
    "state_space_expand": ("mixer", "state_space"),
    "state_space_size": ("mixer", "state_space"),
    "state_space_conv": ("mixer", "state_space"),
    "decay_share": ("schedule", "wsd"),
    "drops": ("schedule", "step"),
    "drop_factor": ("schedule", "step"),
    "loss_scale": ("precision", "fp16"),
    "spike_z": ("guard_spikes", True),
    "spike_window": ("guard_spikes", True),
    "rollbacks": ("guard_spikes", True),
    "rate_jump": ("guard_rate", True),
}
NOT_NEGATIVE = (
    *("z_loss", "weight_decay", "lr_max", "lr_min", "warmup_steps", "drops", "seed"),
    *("eval_every", "patience", "checkpoint_every", "keep_checkpoints", "rollbacks"),
    *("instruments_every", "noise_every"),
)


@dataclass(frozen=True, kw_only=True)
class Config(
    ModelConfig,
    DataConfig,
    OptimizerConfig,
    ScheduleConfig,
    GuardsConfig,
    InstrumentsConfig,
    TrainerConfig,
):
    """Everything that decides what a run computes.

    Raises:
        ConfigError: a value of the wrong type or out of range, or two values that contradict each other.
    """

    def __post_init__(self) -> None:
        for name, kind in setting_types().items():
            object.__setattr__(self, name, typed(name, kind, getattr(self, name)))
        if self.warmup_steps is None:
            object.__setattr__(self, "warmup_steps", min(50, self.steps // 10))
        for name in AT_LEAST_ONE:
            self._require(getattr(self, name) >= 1, "at-least-one", name=name, given=getattr(self, name))
        for name in NOT_NEGATIVE:
            self._require(getattr(self, name) >= 0, "not-negative", name=name, given=getattr(self, name))
        for name in ("dropout", "beta1", "beta2", "drop_factor"):
            self._require(0 <= getattr(self, name) < 1, "fraction", name=name, given=getattr(self, name))
        for name in ("clip_norm", "init_std", "eps", "loss_scale", "spike_z", "rate_jump"):
            self._require(getattr(self, name) > 0, "positive", name=name, given=getattr(self, name))
        self._require(self.vocab_size >= 257, "vocabulary-below-bytes", given=self.vocab_size)
        self._require(
            self.n_embd % self.n_head == 0, "heads-divide-width", n_head=self.n_head, n_embd=self.n_embd
        )
        self._require(
            self.positions != "rotary" or self.n_embd // self.n_head % 2 == 0,
            "rotary-needs-pairs",
            head_size=self.n_embd // self.n_head,
        )
        self._require(
            self.lr_min <= self.lr_max or self.schedule == "constant",
            "lr-order",
            schedule=self.schedule,
            lr_min=self.lr_min,
            lr_max=self.lr_max,
        )
        self._require(
            self.warmup_steps <= self.steps,
            "warmup-longer-than-run",
            warmup=self.warmup_steps,
            steps=self.steps,
        )

        self._require(0 < self.decay_share <= 1, "share", name="decay_share", given=self.decay_share)
        self._require(
            not (self.patience and not self.eval_every), "patience-without-evaluation", patience=self.patience
        )
        self._require(
            not (self.precision == "fp16" and self.device == "mps"), "no-fp16-scaler", device=self.device
        )
        self.multipliers()

    def multipliers(self) -> dict[str, float]:
        """Return the learning-rate multipliers by parameter prefix, the longest prefix first."""
        pairs = [entry.partition("=") for entry in self.lr_multipliers.replace(" ", "").split(",") if entry]
        try:
            found = {prefix: float(value) for prefix, _, value in pairs}
        except ValueError as error:
            raise ConfigError("config.bad-multipliers", given=self.lr_multipliers) from error
        for value in found.values():
            self._require(0 <= value < math.inf, "bad-multipliers", given=self.lr_multipliers)
        return dict(sorted(found.items(), key=lambda item: -len(item[0])))

    def frozen(self) -> list[str]:
        """Return the parameter prefixes that do not learn."""
        return [prefix for prefix in self.freeze.replace(" ", "").split(",") if prefix]

    def section(self, name: str) -> Any:
        """Return the settings of one section of `minigpt.config.sections`, as an object of its class."""
        kind = SECTIONS[name]
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    def refuse_idle(self) -> None:
        """Refuse a setting that was changed and has no effect, for whoever changed it expects one.

        A new run asks this; the config of a run on disk is read as it is.

        Raises:
            ConfigError: names the setting, and the one that makes it idle.
        """
        for name, (other, wanted) in NEEDS.items():
            changed = getattr(self, name) != type(self).__dataclass_fields__[name].default
            if changed and getattr(self, other) != wanted:
                raise ConfigError(
                    "config.idle",
                    name=name,
                    given=getattr(self, name),
                    other=other,
                    value=getattr(self, other),
                    wanted=wanted,
                )

    def _require(self, holds: bool, key: str, **values: object) -> None:
        if not holds:
            raise ConfigError(f"config.{key}", **values)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some settings changed, validated again."""
        return type(self).from_dict(self.to_dict() | changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, for JSON and YAML."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """Build a config from plain data, flat or grouped by section.

        Raises:
            ConfigError: a key that no setting has (the nearest is suggested), a setting under the wrong
                section, one that is given twice, or a value that does not fit.
        """
        settings, known = flat(settings), [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise ConfigError("config.unknown-key", name=key, hint=nearest(str(key), known))
        return cls(**settings)


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that may be grouped by section without the groups.

    Raises:
        ConfigError: a setting stands under a section that has none of that name, or is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        grouped = key in SECTIONS and isinstance(value, Mapping)
        for name, inner in value.items() if grouped else [(key, value)]:
            if grouped:
                known = [field.name for field in fields(SECTIONS[key])]
                if name not in known:
                    raise ConfigError(
                        "config.not-in-section", name=name, section=key, hint=nearest(str(name), known)
                    )
            if name in found:
                raise ConfigError("config.given-twice", name=name)
            found[name] = inner
    return found


@cache
def setting_types() -> dict[str, Any]:
    """Return the type of every setting by name."""
    hints = get_type_hints(Config)
    return {field.name: hints[field.name] for field in fields(Config)}
