"""What a config refuses: values out of range, and settings that contradict each other.

    for holds, key, values in rules(config):
        ...                     # a rule, its message in `minigpt/messages/*/config.yaml`, and what that names

A rule may count on those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigpt.config.config import Config

AT_LEAST_ONE = (
    *("vocab_size", "context", "n_layer", "n_head", "n_embd"),
    *("state_space_expand", "state_space_size", "state_space_conv"),
    *("batch_size", "accumulation", "steps", "eval_batches", "snapshot_every", "snapshots"),
    *("spike_window", "ewc_rows", "loss_scale_interval"),
    *("short_term_size", "long_term_size", "memory_reads", "consolidation_writes", "sleep_steps"),
)
ORDINARY_STEPS = 32  # that the spike guard must have seen, or a whole window of them, before it judges one
BACK = 10  # steps that it may go back: damage begins before it shows
RATE_STEPS = 20  # first ones, whose rates the rate guard does not judge
CLIPPERS_LEARN = {
    "zscore": 25,
    "per_tensor": 100,
}  # first steps, in which a clipper cuts as the fixed one does
NOT_NEGATIVE = (
    *("z_loss", "weight_decay", "lr_max", "lr_min", "warmup_steps", "drops", "seed"),
    *("eval_every", "patience", "checkpoint_every", "keep_checkpoints", "rollbacks"),
    *("ewc", "plasticity_rate", "cross_attention_heads", "gate_heads"),
    *("instruments_every", "noise_every", "sharpness_every"),
)

Rule = tuple[bool, str, dict[str, Any]]


def rules(config: Config) -> Iterator[Rule]:
    """Yield every rule: whether it holds, the key of its message, and the values that this names."""
    return chain(_values(config), _tasks(config), _streams(config), _memory(config))


def _values(config: Config) -> Iterator[Rule]:
    for name in AT_LEAST_ONE:
        yield getattr(config, name) >= 1, "at-least-one", {"name": name, "given": getattr(config, name)}
    for name in NOT_NEGATIVE:
        yield getattr(config, name) >= 0, "not-negative", {"name": name, "given": getattr(config, name)}
    for name in ("dropout", "beta1", "beta2", "drop_factor", "replay", "memory_dropout"):
        yield 0 <= getattr(config, name) < 1, "fraction", {"name": name, "given": getattr(config, name)}
    for name in (
        *("clip_norm", "init_std", "eps", "loss_scale", "spike_z", "plasticity_tau"),
        *("memory_temperature", "homeostasis_target"),
    ):
        yield getattr(config, name) > 0, "positive", {"name": name, "given": getattr(config, name)}
    yield config.vocab_size >= 257, "vocabulary-below-bytes", {"given": config.vocab_size}
    yield (
        config.n_embd % config.n_head == 0,
        "heads-divide-width",
        {"n_head": config.n_head, "n_embd": config.n_embd},
    )
    yield (
        config.positions != "rotary" or config.n_embd // config.n_head % 2 == 0,
        "rotary-needs-pairs",
        {"head_size": config.n_embd // config.n_head},
    )
    yield (
        config.lr_min <= config.lr_max or config.schedule == "constant",
        "lr-order",
        {"schedule": config.schedule, "lr_min": config.lr_min, "lr_max": config.lr_max},
    )
    yield (
        config.warmup_steps <= config.steps,
        "warmup-longer-than-run",
        {"warmup": config.warmup_steps, "steps": config.steps},
    )

    yield config.loss_scale_growth > 1, "growth", {"given": config.loss_scale_growth}
    yield 0 < config.loss_scale_backoff < 1, "backoff", {"given": config.loss_scale_backoff}
    needed = min(ORDINARY_STEPS, config.spike_window)
    yield (
        not config.guard_spikes or needed < config.steps,
        "guard-never-judges",
        {"needed": needed, "steps": config.steps},
    )
    yield config.rate_jump > 1, "rate-jump", {"given": config.rate_jump}
    for name in ("decay_share", "consolidation_chance", "complementary_rate"):
        yield 0 < getattr(config, name) <= 1, "share", {"name": name, "given": getattr(config, name)}
    yield (
        not (config.patience and not config.eval_every),
        "patience-without-evaluation",
        {"patience": config.patience},
    )
    yield (
        not (config.precision == "fp16" and config.device == "mps"),
        "no-fp16-scaler",
        {"device": config.device},
    )


def _tasks(config: Config) -> Iterator[Rule]:
    names = config.task_names()
    yield bool(names) or not config.tasks, "no-task-named", {"given": config.tasks}
    twice = [name for name in names if names.count(name) > 1]
    yield not twice, "task-twice", {"name": (twice or [""])[0]}
    yield not (names and config.text), "text-and-tasks", {"text": config.text, "tasks": config.tasks}
    yield len(names) <= config.steps, "more-tasks-than-steps", {"tasks": len(names), "steps": config.steps}
    for name in ("replay", "ewc"):
        given = getattr(config, name)
        yield not given or len(names) > 1, "no-first-task", {"name": name, "given": given}
    rows = config.replayed_rows()
    yield (
        not config.replay or 0 < rows < config.batch_size,
        "replay-without-rows",
        {"replay": config.replay, "rows": rows, "batch_size": config.batch_size},
    )


def _streams(config: Config) -> Iterator[Rule]:
    for name in ("cross_attention_heads", "gate_heads"):
        heads = getattr(config, name)
        yield (
            not heads or config.n_embd % heads == 0,
            "divides-width",
            {"name": name, "given": heads, "n_embd": config.n_embd},
        )
    for name, usual in (("cross_attention_heads", 0), ("spikes_read", "temporal")):
        given = getattr(config, name)
        reads = given == usual or config.integration != "parallel"
        yield reads, "parallel-reads-nothing", {"name": name, "given": given}
    plastic = config.plasticity != "none"
    yield (
        not plastic or config.activation == "spiking" or config.mixer == "two_streams",
        "plasticity-without-spikes",
        {"plasticity": config.plasticity, "activation": config.activation},
    )
    yield not (plastic and config.compile), "plasticity-compiled", {"plasticity": config.plasticity}


def _memory(config: Config) -> Iterator[Rule]:
    for name in ("metaplasticity_tau", "homeostasis_tau"):
        yield getattr(config, name) >= 1, "at-least-one", {"name": name, "given": getattr(config, name)}
    yield (
        config.residual_weight >= 0,
        "not-negative",
        {"name": "residual_weight", "given": config.residual_weight},
    )
    if config.mixer != "memory":
        return
    yield (
        config.short_term_size < config.context,
        "memory-beyond-document",
        {"size": config.short_term_size, "context": config.context},
    )
    yield (
        config.memory_reads <= config.long_term_size,
        "more-reads-than-slots",
        {"reads": config.memory_reads, "size": config.long_term_size},
    )
    interval = config.consolidation_every
    yield interval >= 1, "at-least-one", {"name": "consolidation_interval", "given": interval}
    yield (
        interval <= config.steps or config.consolidation == "random",
        "consolidation-after-run",
        {"interval": interval, "steps": config.steps},
    )
    yield (
        config.consolidation != "sleep" or config.sleep_steps < interval,
        "always-asleep",
        {"sleep": config.sleep_steps, "interval": interval},
    )
