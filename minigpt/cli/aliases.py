"""Flags as seeds 000 and 001 write them, and the settings that they stand for.

    minigpt train --use-mamba --use-stdp --continual-learning --use-replay --num-gate-heads 8

A setting given by its own name beats a switch; a flag with a value and that setting must agree.
"""

from __future__ import annotations

import argparse
from typing import Any

from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.config import setting_types
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
}


def add_aliases(parser: Parser) -> None:
    """Add the flags; only those given reach the result."""
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


def with_aliases(settings: dict[str, Any], arguments: Arguments) -> dict[str, Any]:
    """Return the settings with those that aliases stand for.

    Raises:
        UsageError: an alias with a value and the setting itself say different things.
    """
    found: dict[str, Any] = {}
    for name, stands_for in SWITCHES.items():
        if name in arguments and arguments[name]:
            found |= stands_for
    for name, setting in NAMES.items():
        if name in arguments:
            value = arguments[name]
            if setting in settings and settings[setting] != value:
                flags = [f"--{word.replace('_', '-')}" for word in (name, setting)]
                raise UsageError("train.alias-twice", alias=flags[0], setting=flags[1])
            found[setting] = value
    return found | settings
