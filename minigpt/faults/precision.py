"""Faults of mixed precision: what goes wrong around an fp16 loss scale. None breaks a run in fp32 or bf16."""

from __future__ import annotations

from minigpt.faults.fault import Fault


def _clip_before_unscale(clip, recipe, severity):
    import torch

    def clip_scaled_gradients(model, optimizer, precision, max_norm):
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()
        precision.scaler.unscale_(optimizer)
        return norm

    return clip_scaled_gradients


def _scaler_not_updated(step, recipe, severity):
    def step_with_a_scale_that_stays(optimizer, precision, lr):
        scale = precision.scaler.get_scale()
        step(optimizer, precision, lr)
        if precision.scaler.is_enabled():
            precision.scaler.update(scale)

    return step_with_a_scale_that_stays


def _fp16_overflow(config, recipe, severity):
    return _scaled(config, loss_scale=2.0**40, loss_scale_backoff=severity)


def _fp16_underflow(config, recipe, severity):
    return _scaled(config, loss_scale=severity)


def _scaled(config, **changes):
    """Return the config with changes of the loss scale, which only fp16 has."""
    return config.replace(**changes if config.precision == "fp16" else {})


def _no_scale(config, severity):
    return None if config.precision == "fp16" else "precision"


PRECISION_FAULTS = (
    Fault(
        "clip-before-unscale",
        "clip",
        "clip-before-unscale",
        _clip_before_unscale,
        idle=_no_scale,
        replaces=True,
    ),
    Fault("scaler-not-updated", "step", "scaler-not-updated", _scaler_not_updated, idle=_no_scale),
    Fault(
        "fp16-overflow",
        "config",
        "fp16-overflow",
        _fp16_overflow,
        severity=0.99,  # × the scale at an overflow, where a half is usual
        breaks_at=lambda severity: 0.9 <= severity < 1,
        idle=_no_scale,
    ),
    Fault(
        "fp16-underflow",
        "config",
        "fp16-underflow",
        _fp16_underflow,
        severity=2.0**-14,  # the loss scale
        breaks_at=lambda severity: 0 < severity <= 2.0**-10,
        idle=_no_scale,
    ),
)
