"""Faults of the learning rate: section 2 of the stability check."""

from __future__ import annotations

from minigpt.faults.fault import Fault


def _scheduler_never_stepped(lr_at, recipe, severity):
    return lambda step, config: config.lr_max


def _base_lr_zero(lr_at, recipe, severity):
    return lambda step, config: 0.0 * lr_at(step, config)


def _lr_discontinuous(lr_at, recipe, severity):
    return lambda step, config: lr_at(step, config.replace(schedule="step", drop_factor=0.3))


def _schedule_step_unit(lr_at, recipe, severity):
    def counted_in_micro_batches(step, config):
        unit = config.accumulation if config.accumulation > 1 else int(severity)
        longer = config.replace(steps=config.steps * unit, warmup_steps=config.warmup_steps * unit)
        return lr_at(step, longer)

    return counted_in_micro_batches


def _lr_group_scale(build_optimizer, recipe, severity):
    def optimizer_with_a_slow_group(model, config):
        optimizer = build_optimizer(model, config)
        optimizer.param_groups[0]["lr_multiplier"] = severity
        return optimizer

    return optimizer_with_a_slow_group


def _warmup_off_by_one(lr_at, recipe, severity):
    def starts_at_zero(step, config):
        return (
            config.lr_max * step / config.warmup_steps if step < config.warmup_steps else lr_at(step, config)
        )

    return starts_at_zero


def _stands_still_anyway(config, severity):
    return "schedule" if config.schedule == "constant" and config.warmup_steps <= 1 else None


SCHEDULE_FAULTS = (
    Fault(
        "scheduler-never-stepped",
        "lr_at",
        "scheduler-never-stepped",
        _scheduler_never_stepped,
        idle=_stands_still_anyway,
        replaces=True,
    ),
    Fault("base-lr-zero", "lr_at", "base-lr-zero", _base_lr_zero),
    Fault(
        "lr-discontinuous",
        "lr_at",
        "lr-discontinuous",
        _lr_discontinuous,
        idle=lambda config, severity: "schedule" if config.schedule == "step" else None,
    ),
    Fault(
        "schedule-step-unit",
        "lr_at",
        "schedule-step-unit",
        _schedule_step_unit,
        severity=4.0,  # micro-batches
        breaks_at=lambda severity: severity >= 2,
        idle=_stands_still_anyway,
    ),
    Fault(
        "lr-group-scale",
        "build_optimizer",
        "lr-group-scale",
        _lr_group_scale,
        severity=0.1,  # multiplier
        breaks_at=lambda severity: severity > 0 and severity != 1,
    ),
    Fault(
        "warmup-off-by-one",
        "lr_at",
        "warmup-off-by-one",
        _warmup_off_by_one,
        idle=lambda config, severity: None if config.warmup_steps else "warmup_steps",
    ),
)
