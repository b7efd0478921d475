"""AdamW over named groups: what decays, what learns at a rate of its own, and what does not learn at all."""

from __future__ import annotations

import torch
from torch import nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.roles import RULES, roles_of
from minigpt.training.adamw import AdamW
from minigpt.training.rounding import round_after_each_step


def parameter_groups(model: nn.Module, config: Config) -> list[dict]:
    """Split the trainable parameters into groups by weight decay and learning-rate multiplier.

    Decay pulls weights towards 0. A norm's gain belongs at 1 and a bias wherever the data want it: the role
    of a parameter says whether it decays (`minigpt.model.roles`; question 6.1 of the stability check). A
    group with a multiplier is named after it: "decay:wte".
    """
    multipliers = config.multipliers()
    for prefix in multipliers:
        _matching(model, prefix, "lr_multipliers")
    groups: dict[str, dict] = {}
    roles = roles_of(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = RULES[roles[name]].decays
        prefix = next((prefix for prefix in multipliers if _belongs(name, prefix)), None)
        label = ("decay" if decays else "no_decay") + (f":{prefix}" if prefix else "")
        group = groups.setdefault(
            label,
            {
                "name": label,
                "params": [],
                "weight_decay": config.weight_decay if decays else 0.0,
                "lr_multiplier": multipliers.get(prefix, 1.0),
            },
        )
        group["params"].append(parameter)
    return [groups[label] for label in sorted(groups)]


def freeze(model: nn.Module, config: Config) -> None:
    """Stop the parameters whose names begin with a prefix in `config.freeze` from learning.

    Raises:
        MiniGPTError: no parameter name starts with it.
    """
    for prefix in config.frozen():
        for parameter in _matching(model, prefix, "freeze"):
            parameter.requires_grad_(False)


def _belongs(name: str, prefix: str) -> bool:
    """Return whether a name is under a dotted prefix: h.1 holds h.1.ln_1.weight, not h.10.ln_1.weight."""
    return f"{name}.".startswith(f"{prefix}.")


def _matching(model: nn.Module, prefix: str, setting: str) -> list[nn.Parameter]:
    found = [parameter for name, parameter in model.named_parameters() if _belongs(name, prefix)]
    if not found:
        raise MiniGPTError("train.no-such-parameter", setting=setting, prefix=prefix)
    return found


def build_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return AdamW over the model's parameter groups; with weights in bf16 it rounds them after each step."""
    optimizer = AdamW(
        parameter_groups(model, config),
        lr=config.lr_max,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
    if config.weights != "fp32":
        round_after_each_step(optimizer, stochastic=config.weights == "bf16_stochastic")
    return optimizer
