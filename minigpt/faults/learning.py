"""Faults that show in the losses or in the model's weights: sections 4 and 5."""

from __future__ import annotations

import dataclasses
import math

from minigpt.faults.fault import Fault, FaultError
from minigpt.faults.start import declared_start


def _diverging(build_optimizer, recipe, severity):
    def optimizer_that_climbs(model, config):
        optimizer = build_optimizer(model, config)
        for group in optimizer.param_groups:
            group["maximize"] = True
        return optimizer

    return optimizer_that_climbs


def _lr_too_low(config, recipe, severity):
    return config.replace(lr_max=severity, lr_min=severity / 10)


def _overfitting(load_data, recipe, severity):
    def a_few_lines(config):
        data = load_data(config)
        if not config.context < int(severity) < len(data.train):
            raise FaultError(
                "faults.too-few-tokens",
                id="overfitting",
                given=int(severity),
                context=config.context,
                there=len(data.train),
                example=min(8 * config.context, len(data.train) // 2),
            )
        return dataclasses.replace(data, train=data.train[: int(severity)].clone())

    return a_few_lines


def _data_leak(load_data, recipe, severity):
    def validation_from_training(config):
        data = load_data(config)
        return dataclasses.replace(data, validation=data.train[: len(data.validation)].clone())

    return validation_from_training


def _shuffled_targets(get_batch, recipe, severity):
    import torch

    def targets_out_of_order(tokens, config, step, *place):
        batch = get_batch(tokens, config, step, *place)
        generator = torch.Generator().manual_seed(config.seed + step)
        order = torch.randperm(batch.targets.numel(), generator=generator).to(tokens.device)
        return batch._replace(targets=batch.targets.flatten()[order].view_as(batch.targets))

    return targets_out_of_order


def _weight_mean(init_weights, recipe, severity):
    import torch

    def init_off_centre(model, config):
        init_weights(model, config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("c_fc.weight"):
                    parameter.add_(severity)

    return init_off_centre


def _residual_scale(init_weights, recipe, severity):
    import torch

    from minigpt.model.roles import Role, roles_of

    def init_without_residual_scale(model, config):
        init_weights(model, config)
        roles = roles_of(model)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if roles[name] is Role.RESIDUAL:
                    parameter.mul_(math.sqrt(2 * config.n_layer))

    return init_without_residual_scale


def _missing_norm(build_model, recipe, severity):
    from torch import nn

    def model_without_norms(config):
        model = build_model(config)
        for block in model.h:
            block.ln_1, block.ln_2 = nn.Identity(), nn.Identity()
        return model

    return model_without_norms


LEARNING_FAULTS = (
    Fault("diverging", "build_optimizer", "diverging", _diverging),
    Fault(
        "lr-too-low",
        "config",
        "lr-too-low",
        _lr_too_low,
        severity=1e-7,  # lr_max
        idle=lambda config, severity: "lr_max" if severity >= config.lr_max else None,
    ),
    Fault("overfitting", "load_data", "overfitting", _overfitting, severity=2000.0),  # training tokens left
    Fault("data-leak", "load_data", "data-leak", _data_leak),
    Fault("shuffled-targets", "get_batch", "shuffled-targets", _shuffled_targets),
    Fault(
        "weight-mean",
        "init_weights",
        "weight-mean",
        _weight_mean,
        severity=0.01,  # added to c_fc
        breaks_at=lambda severity: severity != 0,
        idle=declared_start,
    ),
    Fault("residual-scale", "init_weights", "residual-scale", _residual_scale, idle=declared_start),
    Fault("missing-norm", "build_model", "missing-norm", _missing_norm),
)
