"""Faults of the loop: what happens to gradients between the loss and the weights (sections 3 and 6)."""

from __future__ import annotations

from minigpt.faults.fault import Fault

SPIKE_EVERY = 25  # steps


def _always_clipping(config, recipe, severity):
    return config.replace(clip_norm=severity)


def _frozen_parameters(init_weights, recipe, severity):
    def init_and_freeze(model, config):
        init_weights(model, config)
        for parameter in model.h.parameters():
            parameter.requires_grad_(False)

    return init_and_freeze


def _missing_zero_grad(step, recipe, severity):
    def step_that_keeps_gradients(optimizer, precision, lr):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters]
        step(optimizer, precision, lr)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    return step_that_keeps_gradients


def _decay_groups(build_optimizer, recipe, severity):
    def one_group(model, config):
        optimizer = build_optimizer(model, config)
        for group in optimizer.param_groups:
            group["weight_decay"] = config.weight_decay
        return optimizer

    return one_group


def _lost_optimizer_state(step, recipe, severity):
    def step_of_a_rebuilt_optimizer(optimizer, precision, lr):
        optimizer.state.clear()
        step(optimizer, precision, lr)

    return step_of_a_rebuilt_optimizer


def _no_bias_correction(build_optimizer, recipe, severity):
    from minigpt.faults.uncorrected_adamw import UncorrectedAdamW

    def optimizer_without_bias_correction(model, config):
        optimizer = build_optimizer(model, config)
        return UncorrectedAdamW(optimizer.param_groups)

    return optimizer_without_bias_correction


def _accumulation_sum(accumulate, recipe, severity):
    def without_dividing(model, loss, batches, precision, world):
        return sum(accumulate(model, loss, [batch], precision, world) for batch in batches) / len(batches)

    return without_dividing


def _accumulation_token_weighting(accumulate, recipe, severity):
    def each_micro_batch_alike(model, loss, batches, precision, world):
        def share(logits, targets, mask):
            return loss(logits, targets, mask) / len(batches)

        return sum(accumulate(model, share, [batch], precision, world) for batch in batches)

    return each_micro_batch_alike


class _ClipAfterADamagedBatch:
    """One batch in `SPIKE_EVERY` reaches the gradient many times too large, as if weighed wrongly."""

    def __init__(self, clip, severity):
        self._clip, self._severity = clip, severity

    def __call__(self, model, optimizer, precision, max_norm):
        taken = max((float(state.get("step", 0)) for state in optimizer.state.values()), default=0.0)
        if taken % SPIKE_EVERY == SPIKE_EVERY - 1:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self._severity)
        return self._clip(model, optimizer, precision, max_norm)

    def __getattr__(self, name):
        """Offer the state of the clipper, where it keeps one."""
        if name not in ("state_dict", "load_state_dict"):
            raise AttributeError(name)
        return getattr(self._clip, name)


def _gradient_spikes(clip, recipe, severity):
    return _ClipAfterADamagedBatch(clip, severity)


def _one_micro_batch(config, severity):
    return "accumulation" if config.accumulation == 1 else None


LOOP_FAULTS = (
    Fault(
        "always-clipping",
        "config",
        "always-clipping",
        _always_clipping,
        severity=0.02,  # clip_norm
        idle=lambda config, severity: "clip_norm" if severity >= config.clip_norm else None,
    ),
    Fault("frozen-parameters", "init_weights", "frozen-parameters", _frozen_parameters),
    Fault("missing-zero-grad", "step", "missing-zero-grad", _missing_zero_grad),
    Fault(
        "decay-groups",
        "build_optimizer",
        "decay-groups",
        _decay_groups,
        idle=lambda config, severity: None if config.weight_decay else "weight_decay",
    ),
    Fault("lost-optimizer-state", "step", "lost-optimizer-state", _lost_optimizer_state),
    Fault("no-bias-correction", "build_optimizer", "no-bias-correction", _no_bias_correction),
    Fault("accumulation-sum", "accumulate", "accumulation-sum", _accumulation_sum, idle=_one_micro_batch),
    Fault(
        "accumulation-token-weighting",
        "accumulate",
        "accumulation-token-weighting",
        _accumulation_token_weighting,
        idle=_one_micro_batch,
    ),
    Fault(
        "gradient-spikes",
        "clip",
        "gradient-spikes",
        _gradient_spikes,
        severity=1e4,  # times too large
        breaks_at=lambda severity: severity > 1,
        idle=lambda config, severity: "steps" if config.steps < SPIKE_EVERY else None,
    ),
)
