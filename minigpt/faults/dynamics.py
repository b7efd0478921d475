"""Faults of the dynamics: the configuration holds, and the run breaks while it goes (Phase 19)."""

from __future__ import annotations

from minigpt.faults.fault import Fault

LASTS = 5  # steps of a burst, batches of a shard
EARLIEST = 70  # steps before which nothing is known to be usual


def _in_the_midst(config) -> range:
    """The steps of a burst, or the batches of a shard, in the middle of a run."""
    begin = max(EARLIEST, config.steps // 2)
    return range(begin, begin + LASTS)


def _rate_burst(lr_at, recipe, severity):
    def lr_that_bursts(step, config):
        rate = lr_at(step, config)
        return rate * severity if step in _in_the_midst(config) else rate

    return lr_that_bursts


def _bad_shard(get_batch, recipe, severity):
    import torch

    def some_targets_out_of_order(tokens, config, data_step, *place):
        batch = get_batch(tokens, config, data_step, *place)
        if data_step not in _in_the_midst(config):
            return batch
        generator = torch.Generator().manual_seed(config.seed + data_step)
        order = torch.randperm(batch.targets.numel(), generator=generator).to(tokens.device)
        return batch._replace(targets=batch.targets.flatten()[order].view_as(batch.targets))

    return some_targets_out_of_order


def _no_warmup(config, recipe, severity):
    return config.replace(warmup_steps=0, lr_max=severity, lr_min=severity / 10)


def _attention_logit_growth(config, recipe, severity):
    return config.replace(lr_max=severity, lr_min=severity / 10)


def _dead_gate(build_model, recipe, severity):
    def model_with_a_gate_that_no_gradient_reaches(config):
        from minigpt.faults.broken_modules import DetachedGate

        model = build_model(config)
        for block in model.h:
            block.drop = DetachedGate(block.drop, config.n_embd)
        return model

    return model_with_a_gate_that_no_gradient_reaches


def _memory_leak(build_model, recipe, severity):
    def model_that_remembers_the_last_batch(config):
        from minigpt.faults.broken_modules import CarriesOver

        model = build_model(config)
        model.ln_f = CarriesOver(model.ln_f, severity)
        return model

    return model_that_remembers_the_last_batch


def _partial_window(accumulate, recipe, severity):
    import math

    def micro_batches_that_are_finite(model, loss, batches, precision, world):
        """Leaves out a micro-batch that is not finite, and uses the others as if nothing had been."""

        def left_out(logits, targets, mask):
            value = loss(logits, targets, mask)
            return value if math.isfinite(value.item()) else logits.sum() * 0.0

        return accumulate(model, left_out, batches, precision, world)

    return micro_batches_that_are_finite


def _too_short(config, severity):
    return "steps" if config.steps < EARLIEST + 4 * LASTS else None


DYNAMICS_FAULTS = (
    Fault(
        "rate-burst",
        "lr_at",
        "loss-spike-lr",
        _rate_burst,
        severity=30.0,  # × the rate, for five steps
        breaks_at=lambda severity: severity >= 10,
        idle=_too_short,
    ),
    Fault("bad-shard", "get_batch", "loss-spike-batch", _bad_shard, idle=_too_short),
    Fault(
        "no-warmup",
        "config",
        "warmup-missing",
        _no_warmup,
        severity=0.3,  # lr_max
        breaks_at=lambda severity: severity >= 0.1,
    ),
    Fault(
        "attention-logit-growth",
        "config",
        "attention-logit-growth",
        _attention_logit_growth,
        severity=0.3,  # lr_max
        breaks_at=lambda severity: severity >= 0.1,
        idle=lambda config, severity: (
            "qk_norm" if config.qk_norm else "mixer" if config.mixer != "attention" else None
        ),
    ),
    Fault("dead-gate", "build_model", "dead-gate", _dead_gate),
    Fault(
        "memory-leak-across-batches",
        "build_model",
        "memory-leak-across-batches",
        _memory_leak,
        severity=0.5,  # of the last batch's mean, that is added to this one
    ),
    Fault("partial-window", "accumulate", "partial-window", _partial_window),
)
