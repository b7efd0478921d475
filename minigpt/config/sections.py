"""The sections of a config: each says what its settings are, what they mean and where they start.

A part that needs only the shape of the model can ask for a `ModelConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    norm_position: Literal["pre", "post"] = "pre"  # normalise a sublayer's input, or the residual sum
    positions: Literal["learned", "rotary"] = "learned"
    # how the tokens of a block read one another
    mixer: Literal["attention", "state_space", "two_streams", "memory"] = "attention"
    state_space_expand: int = 2  # channels of a state space ÷ n_embd
    state_space_size: int = 16  # leaky sums in each of its channels
    state_space_conv: int = 4  # tokens that its convolution sees
    # who reads whom of the spiking and the state-space stream of two_streams
    integration: Literal["sequential", "parallel", "bidirectional"] = "bidirectional"
    # what the state space of two_streams reads of spiking units: each spike, their rate, or the potential
    spikes_read: Literal["temporal", "rate", "potential"] = "temporal"
    cross_attention_heads: int = 0  # with which a stream reads the other; 0: by a matrix, token by token
    gate_heads: int = 0  # groups of channels whose mixture of both streams is learnt; 0: their sum
    # gelu_tanh is GPT-2's approximation
    activation: Literal["gelu", "gelu_tanh", "swiglu", "spiking", "liquid"] = "gelu"
    qk_norm: bool = False  # normalise queries and keys, so that attention logits cannot grow
    tied_head: bool = True  # the head shares its matrix with the token embedding
    init_std: float = 0.02  # GPT-2's; residual projections get init_std / sqrt(2 · n_layer)
    z_loss: float = 0.0  # coefficient of ln² Z in the loss, which keeps logits from drifting; PaLM took 1e-4


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """Memory beside attention, where `mixer` is memory: see `minigpt.model.mixers.memory`."""

    short_term_size: int = 16  # latest tokens of its document that a token can read
    long_term_size: int = 64  # slots that last from step to step
    memory_reads: int = 8  # slots that a token looks up in the long-term memory
    memory_search: Literal["exact", "faiss"] = "exact"  # how they are found; both give the same slots
    memory_gate: Literal["sigmoid", "softmax"] = "sigmoid"  # what weighs present, short term and long term
    memory_temperature: float = 1.0  # of the gate: below 1 sharper, above 1 smoother
    memory_selection: Literal["soft", "hard"] = "soft"  # slots fade out of what is read, or drop out
    use_stop_gradient: bool = False  # no gradient through what is read: its projection does not learn
    residual_weight: float = 0.1  # weight of the path past the gate
    memory_norm: bool = True  # normalise what the gate lets through
    memory_dropout: float = 0.1  # of what is read
    consolidation: Literal["interval", "random", "sleep"] = (
        "interval"  # when tokens go to the long-term memory
    )
    consolidation_interval: int | None = None  # steps; None: 25, or a tenth of a run shorter than 250 steps
    consolidation_chance: float = 0.1  # of a step, for random
    consolidation_writes: int = 4  # tokens each time, the ones that were read most
    sleep_steps: int = 5  # of an interval, for sleep: only then is the long-term memory written
    complementary: bool = False  # a token near a slot moves the slot a little instead of taking one
    complementary_rate: float = 0.1  # how far
    metaplasticity: bool = False  # slots that are read gain strength, by a threshold that slides (BCM)
    metaplasticity_tau: float = 20.0  # steps over which the threshold slides
    homeostasis: bool = False  # scale each channel behind a block towards a target activity
    homeostasis_target: float = 0.1  # mean |activity|
    homeostasis_tau: float = 1000.0  # steps over which activity is averaged


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is trained on, and in which portions."""

    text: str | None = None  # a UTF-8 file instead of the course's corpus
    batch_size: int = 32  # sequences in a micro-batch
    accumulation: int = 1  # micro-batches in a step


@dataclass(frozen=True, kw_only=True)
class TasksConfig:
    """Several texts one after the other, and what keeps the earlier ones from being forgotten."""

    # names or UTF-8 files with commas between: "conjugations,python,book.txt"; each gets as many steps
    tasks: str = ""
    replay: float = 0.0  # share of every batch that comes from earlier tasks
    ewc: float = 0.0  # strength λ of elastic weight consolidation
    ewc_rows: int = 64  # sequences of a finished task that the Fisher information is estimated on


@dataclass(frozen=True, kw_only=True)
class PlasticityConfig:
    """Writes to the weights of spiking units beside the optimizer's, by what fires before what."""

    plasticity: Literal["none", "pair", "triplet", "homeostatic", "bcm"] = "none"
    plasticity_rate: float = 1e-3  # × what the rule asks for
    plasticity_tau: float = 4.0  # tokens over which a spike is remembered
    meta_plasticity: bool = False  # a rate for every weight: the more one has moved, the less it moves


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW (Loshchilov & Hutter, 2019)."""

    weight_decay: float = 0.1  # on the parameters whose role decays: matrices and embeddings
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
class GuardsConfig:
    """What may change a run while it goes: nothing, unless a guard is switched on."""

    guard_finite: bool = False  # drop a step whose loss or gradient is not finite
    guard_spikes: bool = False  # drop a batch whose loss spikes; roll back if many do
    guard_rate: bool = False  # hold a learning rate that jumps
    spike_z: float = 6.0  # robust standard deviations above the median that are a spike
    spike_window: int = 128  # ordinary steps that the median is of
    spike_on: Literal["loss", "loss_or_norm"] = "loss"  # the norm alone jumps in healthy small models too
    rollbacks: int = 3  # the most that the spike guard may ask for
    rate_jump: float = 3.0  # × the rate of the step before that is a jump
    # how the limit of the gradient norm is found; `minigpt.training.guards.clipping` says what each does
    clipper: Literal["fixed", "percentile", "zscore", "per_tensor", "spike"] = "fixed"

    snapshot_every: int = 20  # steps between two copies of the run in memory
    snapshots: int = 3  # the newest ones, which a guard can go back to


@dataclass(frozen=True, kw_only=True)
class InstrumentsConfig:
    """How often the inside of a run is measured; no setting here changes what it computes."""

    # steps between two looks at attention, logits and units; updates and checksums come five times as often
    # in the first two such stretches, and twice as often from then on
    instruments_every: int = 50  # 0: never
    noise_every: int = 400  # steps between two measurements of the gradient noise scale; 0: never
    sharpness_every: int = 0  # and of the sharpness, which takes some 40 passes each time; 0: never


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """Number formats. The loss scale is fp16's; its four settings start at torch's defaults."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the forward and backward pass
    loss_scale: float = 65536.0  # where the scale starts: 2^16
    loss_scale_growth: float = 2.0  # × the scale after `loss_scale_interval` steps without an overflow
    loss_scale_backoff: float = 0.5  # × the scale at an overflow
    loss_scale_interval: int = 2000
    # how weights are kept between steps: bf16 rounds each update to the nearest number, and small ones away;
    # bf16_stochastic rounds up or down by chance, so that they count on average (Gupta et al., 2015)
    weights: Literal["fp32", "bf16", "bf16_stochastic"] = "fp32"


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length of the run and what it leaves on disk."""

    steps: int = 2000  # optimizer steps
    clip_norm: float = 1.0  # the global gradient norm is cut down to this
    freeze: str = ""  # parameter prefixes that do not learn: "wte,h.0"
    init_from: str | None = None  # a run directory whose model this run starts from (fine-tuning)
    eval_every: int = 100  # steps between two evaluations; 0 evaluates at the end only
    eval_batches: int = 8
    patience: int = 0  # stop after this many evaluations without a better one; 0 never stops early
    checkpoint_every: int = 500  # steps between checkpoints; 0 writes only the last
    keep_checkpoints: int = 3  # the newest ones; 0 keeps all
    stop_on_non_finite: bool = True  # end the run at a loss or gradient that is not a number
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    # for the products of linear layers on a CPU, in fp32: auto takes the faster library for each
    kernels: Literal["auto", "onednn", "mkl"] = "auto"
    compile: bool = False  # torch.compile the model: slower to start, faster to run
    seed: int = 0


SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "memory": MemoryConfig,
    "data": DataConfig,
    "tasks": TasksConfig,
    "plasticity": PlasticityConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "guards": GuardsConfig,
    "instruments": InstrumentsConfig,
    "precision": PrecisionConfig,
    "trainer": TrainerConfig,
}
