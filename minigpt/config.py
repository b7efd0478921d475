"""The frozen description of a run: model, data, optimizer, schedule and trainer in one flat object.

    config = Config(n_layer=4, n_embd=128)
    config = config.replace(lr_max=1e-3)

Each section is a class of its own, so a part that needs only the model's shape can say `ModelConfig`. A value
out of range or two settings that contradict each other are refused at construction, in one sentence. The same
names serve as keyword, YAML key, command-line flag (`--lr-max`) and environment variable (`MINIGPT_LR_MAX`).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
    bias: bool = False  # biases in linear layers and LayerNorms; GPT-2 has them, newer models do not
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_position: Literal["pre", "post"] = "pre"  # normalise what a part reads, or the sum that it leaves
    positions: Literal["learned", "rotary"] = "learned"
    mixer: Literal["attention"] = "attention"  # how the tokens of a block read one another
    activation: Literal["gelu", "gelu_tanh", "swiglu"] = "gelu"  # gelu_tanh is GPT-2's approximation
    qk_norm: bool = False  # normalise queries and keys, so that attention logits cannot grow
    tied_head: bool = True  # the head shares its matrix with the token embedding
    init_std: float = 0.02  # GPT-2's; residual projections get init_std / sqrt(2 · n_layer)
    z_loss: float = 0.0  # coefficient of ln² Z in the loss, which keeps logits from drifting; PaLM took 1e-4


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
    """Linear warm-up, then a shape that ends at the last step."""

    schedule: Literal["cosine", "linear", "constant", "wsd", "step"] = "cosine"
    lr_max: float = 1e-2  # high, as small models like it; wider ones want less
    lr_min: float = 1e-3
    warmup_steps: int | None = None  # None: 50, or a tenth of a run shorter than 500 steps
    decay_share: float = 0.2  # of the steps after warm-up, for wsd: the decay at the end
    drops: int = 3  # for step: how often the rate drops
    drop_factor: float = 0.5  # for step: by how much
    lr_multipliers: str = ""  # by parameter prefix: "wte=0.1,h.0=0.5"


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length of the run and what it leaves on disk."""

    steps: int = 2000  # optimizer steps
    clip_norm: float = 1.0  # the global gradient norm is cut down to this
    freeze: str = ""  # parameter prefixes that do not learn: "wte,h.0"
    init_from: str | None = None  # a run directory whose weights this run starts from (fine-tuning)
    eval_every: int = 100  # steps between two looks at the validation loss; 0 looks at the end only
    eval_batches: int = 8
    patience: int = 0  # stop after this many looks without a better one; 0 never stops early
    checkpoint_every: int = 500  # steps between checkpoints; 0 writes only the last
    keep_checkpoints: int = 3  # the newest ones; 0 keeps all
    stop_on_non_finite: bool = True  # end the run at a loss or gradient that is not a number
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    loss_scale: float = 65536.0  # for fp16: where the loss scale starts; torch's default, 2^16
    compile: bool = False  # torch.compile the model: slower to start, faster to run
    seed: int = 0


AT_LEAST_ONE = (
    *("vocab_size", "context", "n_layer", "n_head", "n_embd"),
    *("batch_size", "accumulation", "steps", "eval_batches"),
)
NOT_NEGATIVE = (
    *("z_loss", "weight_decay", "lr_max", "lr_min", "warmup_steps", "drops", "seed"),
    *("eval_every", "patience", "checkpoint_every", "keep_checkpoints"),
)


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainerConfig):
    """Everything that decides what a run computes.

    Raises:
        ConfigError: a value of the wrong type or out of range, or two values that contradict each other.
    """

    def __post_init__(self) -> None:
        for name, kind in setting_types().items():
            object.__setattr__(self, name, _typed(name, kind, getattr(self, name)))
        if self.warmup_steps is None:
            object.__setattr__(self, "warmup_steps", min(50, self.steps // 10))
        for name in AT_LEAST_ONE:
            self._require(getattr(self, name) >= 1, "at-least-one", name=name, given=getattr(self, name))
        for name in NOT_NEGATIVE:
            self._require(getattr(self, name) >= 0, "not-negative", name=name, given=getattr(self, name))
        for name in ("dropout", "beta1", "beta2", "drop_factor"):
            self._require(0 <= getattr(self, name) < 1, "fraction", name=name, given=getattr(self, name))
        for name in ("clip_norm", "init_std", "eps", "loss_scale"):
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
                raise ConfigError("config.unknown-key", name=key, hint=nearest(str(key), known))
        return cls(**settings)


@cache
def setting_types() -> dict[str, Any]:
    """Return the type of every setting by name."""
    hints = get_type_hints(Config)
    return {field.name: hints[field.name] for field in fields(Config)}


def _typed(name: str, annotation: Any, value: Any) -> Any:
    """Return `value` as the annotated type, or refuse it; a whole float may stand for an integer."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else None
    if choices:
        if value not in choices:
            hint = nearest(str(value), choices)
            raise ConfigError(
                "config.not-a-choice", name=name, given=value, known=", ".join(choices), hint=hint
            )
        return value
    kinds = get_args(annotation) or (annotation,)
    if value is None and NoneType in kinds:
        return None
    kind = kinds[0]
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ConfigError("config.not-finite", name=name, given=value)
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind:
        raise ConfigError("config.wrong-type", name=name, expected=kind.__name__, given=repr(value))
    return value
