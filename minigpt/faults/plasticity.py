"""Faults of local learning and of tasks in sequence: writes that nobody declared, and a task that is lost."""

from __future__ import annotations

from minigpt.faults.fault import Fault

TASKS = "conjugations,python"


def _undeclared_stdp(accumulate, recipe, severity):
    from minigpt.training.plasticity import Activity, rules

    tau = recipe.config.plasticity_tau

    def accumulate_and_write(model, loss, batches, precision, world):
        modules = {n: m for n, m in model.named_modules() if hasattr(m, "c_fc") and hasattr(m, "c_proj")}
        activity = Activity(modules)
        try:
            value = accumulate(model, loss, batches, precision, world)
        finally:
            activity.remove()
        for name, passes in activity.seen.items():
            for pre, post in passes:
                modules[name].c_fc.weight.data += severity * rules.pair(pre, post, tau)
        return value

    return accumulate_and_write


def _forgetting(config, recipe, severity):
    unprotected = {"replay": 0.0, "ewc": 0.0, "ewc_rows": type(config).ewc_rows}
    return config.replace(tasks=config.tasks or TASKS, **unprotected, schedule="constant")


PLASTICITY_FAULTS = (
    Fault(
        "undeclared-stdp",
        "accumulate",
        "writes-outside-optimizer",
        _undeclared_stdp,
        severity=1e-3,  # × what the rule asks for
        idle=lambda config, severity: "instruments_every" if not config.instruments_every else None,
    ),
    Fault(
        "forgetting",
        "config",
        "forgetting",
        _forgetting,
        idle=lambda config, severity: "text" if config.text else "steps" if config.steps < 100 else None,
    ),
)
