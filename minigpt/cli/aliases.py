"""Flags and variables as the seeds write them, and the settings that they stand for.

    minigpt train --use-mamba --use-stdp --continual-learning --use-replay --num-gate-heads 8
    minigpt train --lr 2e-4 --warmup-ratio 0.05 --steps 1000
    BATCH_SIZE=32 BLOCK_SIZE=128 LEARNING_RATE=1e-5 minigpt train --schedule constant

A setting given by its own name beats a switch; a flag with a value and that setting must agree. The seeds
give one learning rate: where it lies below lr_min, and nobody gives that, lr_min is a tenth of it. A variable
without MINIGPT_ before its name may be somebody else's: every flag, file and MINIGPT_ variable beats it, and
the command says when it follows one. Presets, which are where a run starts from, are changed by it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any

from minigpt.cli.parser import Arguments, Parser, UsageError, read_value
from minigpt.config import Config, setting_types
from minigpt.messages import message

SWITCHES: dict[str, dict[str, Any]] = {  # flags without a value
    "use_mamba": {"mixer": "two_streams"},
    "use_adaptive_gating": {"gate_heads": 4},
    "use_cross_attention": {"cross_attention_heads": 8},
    "use_stdp": {"plasticity": "pair", "activation": "spiking"},
    "use_meta_plasticity": {"meta_plasticity": True},
    "continual_learning": {"tasks": "conjugations,python"},
    "use_replay": {"replay": 0.25},
    "use_ewc": {"ewc": 10_000.0},
    "mixed_precision": {"precision": "fp16"},
}
NAMES = {  # flags with a value
    "integration_mode": "integration",
    "spike_to_mamba_method": "spikes_read",
    "num_gate_heads": "gate_heads",
    "cross_attn_heads": "cross_attention_heads",
    "mamba_expand": "state_space_expand",
    "mamba_d_state": "state_space_size",
    "mamba_d_conv": "state_space_conv",
    "learning_rate": "lr_max",
    "gradient_clip": "clip_norm",
    "lr": "lr_max",
    "grad_clip": "clip_norm",
    "sequence_length": "context",
    "num_layers": "n_layer",
    "hidden_dim": "n_embd",
    "gradient_accumulation": "accumulation",
}
ELSEWHERE = {  # flags of the seeds that stand for no setting, and what to give here
    "--epochs": "--steps",
    "--wandb": "--log wandb",
    "--num-tasks": "--tasks conjugations,python",
    "--liquid-units": "--activation liquid",
    "--spiking-units": "--activation spiking",
    "--enable-neuroscience": "--mixer memory --homeostasis",
}
# nothing here does the same: there is one model, and its batches need no process of their own
NEEDLESS = ("--task", "--num-workers")
RATES = {"lr", "learning_rate"}
VARIABLES = {  # of seed 004; with CHECKPOINT_PATH, RESUME_STEPS are the steps from there on
    "BATCH_SIZE": "batch_size",
    "BLOCK_SIZE": "context",
    "LEARNING_RATE": "lr_max",
    "TRAINING_STEPS": "steps",
    "CHECKPOINT_PATH": "init_from",
    "RESUME_STEPS": "steps",
}


def add_aliases(parser: Parser) -> None:
    """Add the flags; only those given reach the result."""
    parser.elsewhere |= ELSEWHERE | dict.fromkeys(NEEDLESS)
    for name, settings in SWITCHES.items():
        stands_for = ", ".join(f"{setting}={value}" for setting, value in settings.items())
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            action="store_true",
            default=argparse.SUPPRESS,
            help=message("train.alias-help", settings=stands_for),
        )
    for name, setting in NAMES.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=setting_types()[setting],
            default=argparse.SUPPRESS,
            help=message("train.alias-help", settings=setting),
        )
    parser.add_argument(
        "--warmup-ratio", type=float, default=argparse.SUPPRESS, help=message("train.warmup-ratio-help")
    )


def with_lowest_rate(
    settings: dict[str, Any], arguments: Arguments, followed: Iterable[str]
) -> dict[str, Any]:
    """Return the settings with an lr_min that goes with a seed's one learning rate.

    Args:
        settings: all that were given, a preset's among them.
        followed: those of them that a variable gave.
    """
    by_alias = "lr_max" in followed or RATES & set(arguments.keys())
    if not by_alias or "lr_min" in settings or settings["lr_max"] >= Config.lr_min:
        return settings
    return settings | {"lr_min": settings["lr_max"] / 10}


def from_variables() -> dict[str, tuple[str, Any]]:
    """Return what the seeds' variables ask for: by setting, the variable's name and the value.

    Raises:
        UsageError: a value is not of its setting's type, or two variables contradict each other.
    """
    found: dict[str, tuple[str, Any]] = {}
    for name, setting in VARIABLES.items():
        if text := os.environ.get(name):
            value = read_value(name, setting_types()[setting], text)
            if setting in found and found[setting][1] != value:
                raise UsageError("train.alias-twice", alias=name, setting=found[setting][0])
            found[setting] = (name, value)
    return found


def with_aliases(settings: dict[str, Any], arguments: Arguments, steps: int | None = None) -> dict[str, Any]:
    """Return the settings with those that aliases stand for.

    Args:
        steps: of the run where `settings` do not say: a preset's, or a variable's.

    Raises:
        UsageError: an alias with a value and the setting itself, or another alias of it, say different
            things, or a switch and a setting ask for two mixers.
    """
    found: dict[str, Any] = {}
    first: dict[str, tuple[str, Any]] = {}  # by setting, the first flag that gives it, and the value
    for name, stands_for in SWITCHES.items():
        if name in arguments and arguments[name]:
            _refuse_two_mixers(name, stands_for, settings)
            found |= stands_for
    for name, setting in NAMES.items():
        if name in arguments:
            value = arguments[name]
            known = (setting, settings[setting]) if setting in settings else (name, value)
            other, its_value = first.setdefault(setting, known)
            if value != its_value:
                flags = [f"--{word.replace('_', '-')}" for word in (name, other)]
                raise UsageError("train.alias-twice", alias=flags[0], setting=flags[1])
            found[setting] = value
    if "warmup_ratio" in arguments:
        found["warmup_steps"] = _share_of_steps(arguments["warmup_ratio"], settings, steps)
    return found | settings


def _refuse_two_mixers(name: str, stands_for: dict[str, Any], settings: dict[str, Any]) -> None:
    """Refuse a switch that stands for one mixer beside a setting that names another: nothing of it is left.

    Raises:
        UsageError: names both.
    """
    asked, given = stands_for.get("mixer"), settings.get("mixer")
    if asked and given and asked != given:
        alias = f"--{name.replace('_', '-')}"
        raise UsageError("train.two-mixers", alias=alias, asked=asked, given=given)


def _share_of_steps(ratio: float, settings: dict[str, Any], steps: int | None) -> int:
    """Return the steps of a warm-up that is a share of the run, as seeds 000 and 002 give it."""
    steps = settings.get("steps", steps)
    if steps is None:
        raise UsageError("train.ratio-needs-steps")
    if not 0 <= ratio <= 1:
        raise UsageError("train.bad-ratio", given=ratio)
    warmup = round(ratio * steps)
    if settings.get("warmup_steps", warmup) != warmup:
        raise UsageError("train.alias-twice", alias="--warmup-ratio", setting="--warmup-steps")
    return warmup
