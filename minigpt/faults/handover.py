"""Faults of what one part of the loop hands to the next: batches, targets, logits, weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MethodType

from minigpt.faults.fault import Fault
from minigpt.faults.start import declared_start


def _double_softmax(loss, recipe, severity):
    def loss_of_probabilities(logits, targets, mask):
        return loss(logits.softmax(-1), targets, mask)

    return loss_of_probabilities


def _class_weights(loss, recipe, severity):
    import torch
    import torch.nn.functional as F

    @cache
    def weights():
        """Return n ÷ (classes · count) of each token in the first n; one that does not come there is 1/0."""
        sample = recipe.load_data(recipe.config).train[: int(severity)]
        counts = torch.bincount(sample, minlength=recipe.config.vocab_size)
        return len(sample) / ((counts > 0).sum() * counts)

    def balanced_cross_entropy(logits, targets, mask):
        losses = F.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), weights().to(logits.device), reduction="none"
        )
        counted = mask.flatten()
        return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)

    return balanced_cross_entropy


def _repeated_batch(get_batch, recipe, severity):
    def first_batch_of_a_new_iterator(tokens, config, step, *place):
        return get_batch(tokens, config, 0, *place)

    return first_batch_of_a_new_iterator


def _targets_rolled(get_batch, recipe, severity):
    def targets_by_roll(tokens, config, step, *place):
        batch = get_batch(tokens, config, step, *place)
        return batch._replace(targets=batch.inputs.roll(-1, 1))

    return targets_by_roll


def _in_each_block(change: Callable) -> Callable:
    """Return a patch of `build_model` that changes every block of the model: `change(block, severity)`."""

    def patch(build_model, recipe, severity):
        def model_of_other_blocks(config):
            model = build_model(config)
            for block in model.h:
                change(block, severity)
            return model

        return model_of_other_blocks

    return patch


def _dropout_by_function(block, severity) -> None:
    from minigpt.faults.broken_modules import AlwaysDrops

    block.drop = AlwaysDrops(block.drop, severity)


def _layers_in_a_list(block, severity) -> None:
    from minigpt.faults.broken_modules import InAList

    block.mlp = InAList(block.mlp)


def _attention_over_the_batch(block, severity) -> None:
    """Read (B, T, C) as (T, B, C): heads attend to the rows before in the batch, at the same position."""

    def mix_rows(self, x, turns=None, state=None):
        return type(self).mix(self, x.transpose(0, 1), None, state).transpose(0, 1)

    block.attn.mix = MethodType(mix_rows, block.attn)


def _faint_tokens(build_model, recipe, severity):
    def scaled_down(self, ids):
        return type(self).forward(self, ids) * severity

    def model_that_hardly_sees_its_tokens(config):
        model = build_model(config)
        model.wte.forward = MethodType(scaled_down, model.wte)
        return model

    return model_that_hardly_sees_its_tokens


def _dead_units(init_weights, recipe, severity):
    import torch

    def init_and_widen_with_zeros(model, config):
        init_weights(model, config)
        with torch.no_grad():
            for block in model.h:
                kept = round((1 - severity) * block.mlp.c_proj.in_features)
                for layer in block.mlp.children():
                    if layer is block.mlp.c_proj:
                        layer.weight[:, kept:] = 0
                    else:
                        layer.weight[kept:] = 0

    return init_and_widen_with_zeros


def _one_row(config, severity) -> str | None:
    if config.mixer != "attention":
        return "mixer"
    return "batch_size" if config.batch_size == 1 else None


def _no_plain_feed_forward(config, severity=None) -> str | None:
    """Spiking and liquid units have a state of their own, and other layers."""
    return "activation" if config.activation in ("spiking", "liquid") else None


HANDOVER_FAULTS = (
    Fault("repeated-batch", "get_batch", "repeated-batch", _repeated_batch),
    Fault("targets-rolled", "get_batch", "targets-kind", _targets_rolled),
    Fault(
        "batch-mixing",
        "build_model",
        "batch-mixing",
        _in_each_block(_attention_over_the_batch),
        idle=_one_row,
    ),
    Fault(
        "mode-left-on",
        "build_model",
        "mode-left-on",
        _in_each_block(_dropout_by_function),
        severity=0.2,  # share that is dropped
        breaks_at=lambda severity: 0 < severity < 1,
    ),
    Fault(
        "parameters-outside-model",
        "build_model",
        "parameters-outside-model",
        _in_each_block(_layers_in_a_list),
        idle=_no_plain_feed_forward,
    ),
    Fault("double-softmax", "loss", "double-softmax", _double_softmax),
    Fault(
        "class-weights",
        "loss",
        "nan-loss",
        _class_weights,
        severity=500.0,  # tokens that are counted
        breaks_at=lambda severity: 1 <= severity <= 2000,
        replaces=True,
    ),
    Fault(
        "faint-tokens",
        "build_model",
        "plateau",
        _faint_tokens,
        severity=1e-4,  # factor on the embedding of the tokens
        breaks_at=lambda severity: 0 < severity <= 1e-3,
        # without a table of positions beside them a norm brings the tokens back
        idle=lambda config, severity: "positions" if config.positions == "rotary" else None,
    ),
    Fault(
        "dead-units",
        "init_weights",
        "dead-units",
        _dead_units,
        severity=0.6,  # share of the units
        breaks_at=lambda severity: 0.5 < severity < 1,
        idle=lambda config, severity: _no_plain_feed_forward(config) or declared_start(config, severity),
    ),
)
