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

AT_LEAST_ONE = (
    *("vocab_size", "context", "n_layer", "n_head", "n_embd"),
    *("state_space_expand", "state_space_size", "state_space_conv"),
    *("batch_size", "accumulation", "steps", "eval_batches", "snapshot_every", "snapshots"),
    *("spike_window", "ewc_rows", "loss_scale_interval"),
    *("short_term_size", "long_term_size", "memory_reads", "consolidation_writes", "sleep_steps"),
)
ORDINARY_STEPS = 32  # that the spike guard must have seen, or a whole window of them, before it judges one
NEEDS = {  # settings that have no effect unless another one has a certain value, or one of some
    "qk_norm": ("mixer", "attention"),
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
NOT_NEGATIVE = (
    *("z_loss", "weight_decay", "lr_max", "lr_min", "warmup_steps", "drops", "seed"),
    *("eval_every", "patience", "checkpoint_every", "keep_checkpoints", "rollbacks"),
    *("ewc", "plasticity_rate", "cross_attention_heads", "gate_heads"),
    *("instruments_every", "noise_every"),
)


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
        for name in AT_LEAST_ONE:
            self._require(getattr(self, name) >= 1, "at-least-one", name=name, given=getattr(self, name))
        for name in NOT_NEGATIVE:
            self._require(getattr(self, name) >= 0, "not-negative", name=name, given=getattr(self, name))
        for name in ("dropout", "beta1", "beta2", "drop_factor", "replay", "memory_dropout"):
            self._require(0 <= getattr(self, name) < 1, "fraction", name=name, given=getattr(self, name))
        for name in (
            *("clip_norm", "init_std", "eps", "loss_scale", "spike_z", "rate_jump", "plasticity_tau"),
            *("memory_temperature", "homeostasis_target"),
        ):
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

        self._require(self.loss_scale_growth > 1, "growth", given=self.loss_scale_growth)
        self._require(0 < self.loss_scale_backoff < 1, "backoff", given=self.loss_scale_backoff)
        needed = min(ORDINARY_STEPS, self.spike_window)
        self._require(
            not self.guard_spikes or needed < self.steps,
            "guard-never-judges",
            needed=needed,
            steps=self.steps,
        )
        for name in ("decay_share", "consolidation_chance", "complementary_rate"):
            self._require(0 < getattr(self, name) <= 1, "share", name=name, given=getattr(self, name))
        self._require(
            not (self.patience and not self.eval_every), "patience-without-evaluation", patience=self.patience
        )
        self._require(
            not (self.precision == "fp16" and self.device == "mps"), "no-fp16-scaler", device=self.device
        )
        self._check_tasks()
        self._check_streams()
        self._check_memory()
        self.multipliers()

    def _check_tasks(self) -> None:
        names = self.task_names()
        twice = [name for name in names if names.count(name) > 1]
        self._require(not twice, "task-twice", name=(twice or [""])[0])
        self._require(not (names and self.text), "text-and-tasks", text=self.text, tasks=self.tasks)
        self._require(len(names) <= self.steps, "more-tasks-than-steps", tasks=len(names), steps=self.steps)
        for name in ("replay", "ewc"):
            given = getattr(self, name)
            self._require(not given or len(names) > 1, "no-first-task", name=name, given=given)
        rows = self.replayed_rows()
        self._require(
            not self.replay or 0 < rows < self.batch_size,
            "replay-without-rows",
            replay=self.replay,
            rows=rows,
            batch_size=self.batch_size,
        )

    def _check_streams(self) -> None:
        for name in ("cross_attention_heads", "gate_heads"):
            heads = getattr(self, name)
            self._require(
                not heads or self.n_embd % heads == 0,
                "divides-width",
                name=name,
                given=heads,
                n_embd=self.n_embd,
            )
        for name, usual in (("cross_attention_heads", 0), ("spikes_read", "temporal")):
            given = getattr(self, name)
            reads = given == usual or self.integration != "parallel"
            self._require(reads, "parallel-reads-nothing", name=name, given=given)
        plastic = self.plasticity != "none"
        self._require(
            not plastic or self.activation == "spiking" or self.mixer == "two_streams",
            "plasticity-without-spikes",
            plasticity=self.plasticity,
            activation=self.activation,
        )
        self._require(not (plastic and self.compile), "plasticity-compiled", plasticity=self.plasticity)

    def task_names(self) -> list[str]:
        """Return the tasks in their order; empty for a run on one text."""
        return [name for entry in self.tasks.split(",") if (name := entry.strip())]

    def replayed_rows(self) -> int:
        """Return the sequences of every micro-batch that come from earlier tasks."""
        return round(self.replay * self.batch_size)

    def _check_memory(self) -> None:
        for name in ("metaplasticity_tau", "homeostasis_tau"):
            self._require(getattr(self, name) >= 1, "at-least-one", name=name, given=getattr(self, name))
        self._require(
            self.residual_weight >= 0, "not-negative", name="residual_weight", given=self.residual_weight
        )
        if self.mixer != "memory":
            return
        self._require(
            self.short_term_size < self.context,
            "memory-beyond-document",
            size=self.short_term_size,
            context=self.context,
        )
        self._require(
            self.memory_reads <= self.long_term_size,
            "more-reads-than-slots",
            reads=self.memory_reads,
            size=self.long_term_size,
        )
        interval = self.consolidation_every
        self._require(interval >= 1, "at-least-one", name="consolidation_interval", given=interval)
        self._require(
            interval <= self.steps or self.consolidation == "random",
            "consolidation-after-run",
            interval=interval,
            steps=self.steps,
        )
        self._require(
            self.consolidation != "sleep" or self.sleep_steps < interval or interval == 1,
            "always-asleep",
            sleep=self.sleep_steps,
            interval=interval,
        )

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
        for name, (other, wanted) in NEEDS.items():
            changed = getattr(self, name) != type(self).__dataclass_fields__[name].default
            allowed = wanted if isinstance(wanted, tuple) else (wanted,)
            if changed and getattr(self, other) not in allowed:
                raise ConfigError(
                    "config.idle",
                    name=name,
                    given=getattr(self, name),
                    other=other,
                    value=getattr(self, other),
                    wanted=allowed[0],
                )
        if self.consolidation == "random" and self.consolidation_interval is not None:
            raise ConfigError("config.idle-interval", given=self.consolidation_interval)

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
