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

from minigpt.config.idle import refuse_idle
from minigpt.config.rules import rules
from minigpt.config.sections import (
    SECTIONS,
    DataConfig,
    GuardsConfig,
    InstrumentsConfig,
    MemoryConfig,
    ModelConfig,
    OptimizerConfig,
    PlasticityConfig,
    PrecisionConfig,
    ScheduleConfig,
    TasksConfig,
    TrainerConfig,
)
from minigpt.config.values import ConfigError, typed
from minigpt.messages import nearest


@dataclass(frozen=True, kw_only=True)
class Config(
    ModelConfig,
    MemoryConfig,
    DataConfig,
    TasksConfig,
    PlasticityConfig,
    OptimizerConfig,
    ScheduleConfig,
    GuardsConfig,
    InstrumentsConfig,
    PrecisionConfig,
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
        for holds, key, values in rules(self):
            self._require(holds, key, **values)
        self.multipliers()

    def task_names(self) -> list[str]:
        """Return the tasks in their order; empty for a run on one text."""
        return [name for entry in self.tasks.split(",") if (name := entry.strip())]

    def replayed_rows(self) -> int:
        """Return the sequences of every micro-batch that come from earlier tasks."""
        return round(self.replay * self.batch_size)

    @property
    def consolidation_every(self) -> int:
        """Steps from one consolidation to the next, and the length of a day and a night."""
        if self.consolidation_interval is None:
            return max(1, min(25, self.steps // 10))
        return self.consolidation_interval

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
        refuse_idle(self)

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
