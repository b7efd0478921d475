"""Faults that show before the first update: section 1 of the stability check.

A patch imports torch itself, so that the catalogue can be listed without it.
"""

from __future__ import annotations

from minigpt.config import Config
from minigpt.faults.fault import Fault


def declared_start(config: Config, severity: float | None) -> str | None:
    """Return the setting that undoes what a fault does to fresh weights, where it is set."""
    return "init_from" if config.init_from else None  # those weights take the place of the broken ones


def _init_scale(init_weights, recipe, severity):
    import torch

    from minigpt.model.roles import RULES, roles_of

    def scaled_init(model, config):
        init_weights(model, config)
        roles = roles_of(model)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if RULES[roles[name]].std:
                    parameter.mul_(severity)

    return scaled_init


def _head_bias(init_weights, recipe, severity):
    import torch
    from torch import nn

    def init_with_head_bias(model, config):
        init_weights(model, config)
        model.lm_head.bias = nn.Parameter(torch.randn(config.vocab_size) * severity)

    return init_with_head_bias


def _not_untrained(init_weights, recipe, severity):
    from minigpt.training.distributed import World
    from minigpt.training.precision import full_precision

    def init_from_leftover_weights(model, config):
        """A short earlier run on the same data leaves its weights behind, and nobody writes it down."""
        init_weights(model, config)
        earlier = config.replace(
            steps=int(severity), warmup_steps=0, accumulation=1, init_from=None, seed=config.seed + 1
        )
        tokens, world = recipe.load_data(config).train, World()
        precision = full_precision(world.device_type)
        optimizer = recipe.build_optimizer(model, earlier)
        for step in range(earlier.steps):
            batches = [recipe.get_batch(tokens, earlier, step)]
            recipe.accumulate(model, recipe.loss, batches, precision, world)
            recipe.clip(model, optimizer, precision, earlier.clip_norm)
            recipe.step(optimizer, precision, recipe.lr_at(step, earlier))

    return init_from_leftover_weights


def _loss_reduction(loss, recipe, severity):
    import torch
    import torch.nn.functional as F

    def summed_cross_entropy(logits, targets, mask):
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return torch.where(mask.flatten(), losses, 0.0).sum()

    return summed_cross_entropy


def _degenerate_data(get_batch, recipe, severity):
    import torch

    def one_class_batch(tokens, config, step, *place):
        batch = get_batch(tokens, config, step, *place)
        return batch._replace(targets=torch.full_like(batch.targets, int(tokens[0])))

    return one_class_batch


def _loss_mask_empty(get_batch, recipe, severity):
    import torch

    def masked_out_batch(tokens, config, step, *place):
        batch = get_batch(tokens, config, step, *place)
        return batch._replace(mask=torch.zeros_like(batch.mask))

    return masked_out_batch


def _target_shift(loss, recipe, severity):
    def loss_that_shifts_again(logits, targets, mask):
        """The loader has shifted the targets already; once more, and the model learns to predict t + 2."""
        return loss(logits[:, :-1], targets[:, 1:], mask[:, 1:])

    return loss_that_shifts_again


def _future_leak(build_model, recipe, severity):
    def model_without_causal_mask(config):
        model = build_model(config)
        for block in model.h:
            for part in block.attn.modules():  # a memory's mixer holds the attention that reads the present
                if hasattr(part, "causal"):
                    part.causal = False
        return model

    return model_without_causal_mask


def _reads_in_order(config, severity) -> str | None:
    """Scans go from token to token, and have no mask that could be left out."""
    return None if config.mixer in ("attention", "memory") else "mixer"


START_FAULTS = (
    Fault(
        "init-scale",
        "init_weights",
        "init-scale",
        _init_scale,
        severity=100.0,  # factor on every weight matrix
        breaks_at=lambda severity: severity > 0 and severity != 1,
        idle=declared_start,
    ),
    Fault(
        "head-bias",
        "init_weights",
        "head-bias",
        _head_bias,
        severity=3.0,  # standard deviation of the bias
        idle=declared_start,
    ),
    Fault(
        "not-untrained",
        "init_weights",
        "not-untrained",
        _not_untrained,
        severity=200.0,  # steps already trained
        breaks_at=lambda severity: severity >= 1,
        idle=declared_start,
    ),
    Fault("loss-reduction", "loss", "loss-reduction", _loss_reduction, replaces=True),
    Fault("degenerate-data", "get_batch", "degenerate-data", _degenerate_data),
    Fault("loss-mask-empty", "get_batch", "loss-mask-empty", _loss_mask_empty),
    Fault("target-shift", "loss", "target-shift", _target_shift),
    Fault("future-leak", "build_model", "future-leak", _future_leak, idle=_reads_in_order),
)
