"""The frozen description of a run: model, data, optimizer, schedule and trainer in one flat object.

    config = Config(n_layer=4, n_embd=128)
    config = config.replace(lr_max=1e-3)

Each section is a class of its own, so a part that needs only the model's shape can say `ModelConfig`. A value
out of range or two settings that contradict each other are refused at construction, in one sentence. The same
names serve as keyword, YAML key, command-line flag (`--lr-max`) and environment variable (`MINIGPT_LR_MAX`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any

from minigpt.messages import MiniGPTError, nearest


class ConfigError(MiniGPTError):
    """A setting that cannot work, or two that contradict each other."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the GPT."""

    vocab_size: int = 512  # tokens in the vocabulary; chance is a loss of ln(vocab_size) nats
    context: int = 64  # tokens the model sees at once
    n_layer: int = 2
    n_head: int = 4  # attention heads; their width is n_embd / n_head
    n_embd: int = 64
    dropout: float = 0.0
    bias: bool = False  # biases in linear layers and norms; GPT-2 has them, newer models do not
    init_std: float = 0.02  # GPT-2's; residual projections get init_std / sqrt(2 · n_layer)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is trained on, and in which portions."""

    text: str | None = None  # a UTF-8 file instead of the course's corpus
    batch_size: int = 32  # sequences in a micro-batch
    accumulation: int = 1  # micro-batches in a step


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW (Loshchilov & Hutter, 2019)."""

    weight_decay: float = 0.1  # on tensors with two or more dimensions only
    beta1: float = 0.9
    beta2: float = 0.99  # 0.999 remembers longer than these short runs last
    eps: float = 1e-8


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Linear warm-up, then a cosine down to lr_min at the last step."""

    lr_max: float = 3e-3
    lr_min: float = 3e-4
    warmup_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length of the run and what it leaves on disk."""

    steps: int = 2000  # optimizer steps
    clip_norm: float = 1.0  # the global gradient norm is cut down to this
    eval_every: int = 100  # steps between two looks at the validation loss
    eval_batches: int = 8
    checkpoint_every: int = 500  # steps between checkpoints; 0 keeps only the last
    init_from: str | None = None  # a run directory whose weights this run starts from (fine-tuning)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainerConfig):
    """Everything that decides what a run computes.

    Raises:
        ConfigError: a value of the wrong type or out of range, or two values that contradict each other.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _typed(field.name, field.type, getattr(self, field.name)))
        for name in (
            "vocab_size",
            "context",
            "n_layer",
            "n_head",
            "n_embd",
            "batch_size",
            "accumulation",
            "steps",
        ):
            self._require(getattr(self, name) >= 1, "at-least-one", name=name, given=getattr(self, name))
        for name in (
            "weight_decay",
            "lr_max",
            "lr_min",
            "warmup_steps",
            "checkpoint_every",
            "eval_every",
            "eval_batches",
        ):
            self._require(getattr(self, name) >= 0, "not-negative", name=name, given=getattr(self, name))
        for name in ("dropout", "beta1", "beta2"):
            self._require(0 <= getattr(self, name) < 1, "fraction", name=name, given=getattr(self, name))
        for name in ("clip_norm", "init_std", "eps"):
            self._require(getattr(self, name) > 0, "positive", name=name, given=getattr(self, name))
        self._require(self.vocab_size >= 257, "vocabulary-below-bytes", given=self.vocab_size)
        self._require(
            self.n_embd % self.n_head == 0, "heads-divide-width", n_head=self.n_head, n_embd=self.n_embd
        )
        self._require(self.lr_min <= self.lr_max, "lr-order", lr_min=self.lr_min, lr_max=self.lr_max)
        self._require(
            self.warmup_steps <= self.steps,
            "warmup-longer-than-run",
            warmup=self.warmup_steps,
            steps=self.steps,
        )

    def _require(self, holds: bool, key: str, **values: object) -> None:
        if not holds:
            raise ConfigError(f"config.{key}", **values)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some settings changed, validated anew."""
        return type(self).from_dict(self.to_dict() | changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, for JSON and YAML."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """Build a config from plain data.

        Raises:
            ConfigError: a key that no setting has (the nearest is suggested), or a value that does not fit.
        """
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise ConfigError("config.unknown-key", key=key, hint=nearest(str(key), known))
        return cls(**settings)


def _typed(name: str, annotation: str, value: Any) -> Any:
    """Return `value` as the annotated type, or refuse it; a whole float may stand for an integer."""
    optional = annotation.endswith("| None")
    kind = {"int": int, "float": float, "bool": bool, "str": str}[annotation.removesuffix("| None").strip()]
    if optional and value is None:
        return None
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind:
        raise ConfigError("config.wrong-type", name=name, expected=kind.__name__, given=repr(value))
    return value
