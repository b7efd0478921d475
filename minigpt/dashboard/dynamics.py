"""The panels of the dynamics: drawn only where a run measured what they show."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigpt.dashboard.drawing import Drawing, panel
from minigpt.dashboard.source import Source
from minigpt.runs.thresholds import ATTENTION_LOGIT, ATTENTION_LOGIT_BROKEN, DEAD_SHARE

MEMORY = {  # panel: the figures of a step's `memory`, and whether its axis is logarithmic
    "gates": (("gate_entropy", "gate_max_share", "clamped", "duplicates"), False),
    "memory": (("norm", "size"), True),
}
PREFIXES = ("memory.", "tasks.", "plasticity.")  # columns that are drawn here


def dynamics_panels(draw: Drawing) -> list[dict[str, Any]]:
    """Return the panels that have something to show."""
    found = [attention(draw), entropy(draw), output_logits(draw), growth(draw), noise(draw)]
    found += [units(draw), rank(draw), sharpness(draw)]
    found += [memory(draw, id) for id in MEMORY] + [tasks(draw), plasticity(draw)]
    return [panel for panel in found if panel["series"]]


def events(draw: Drawing, run: int, source: Source) -> list[dict[str, Any]]:
    """Return the steps at which a guard acted, on the loss curve: at the loss that it saw."""
    steps, losses = source.column("loss")
    known = dict(zip(steps.tolist(), losses.tolist(), strict=True))
    marks: dict[int, float] = {}
    for event in source.events:
        seen = event.get("seen", {}).get("loss")
        value = seen.get("seen") if isinstance(seen, dict) else seen
        step = event.get("step")
        if not isinstance(value, int | float) or not np.isfinite(value):
            value = known.get(step)
        if isinstance(step, int) and isinstance(value, int | float):
            marks[step] = max(float(value), marks.get(step, -np.inf))
    at = sorted(marks)
    values = np.array([marks[step] for step in at])
    return draw.curve(run, {"t": "guard"}, np.array(at, np.int64), values, style="events")


def attention(draw: Drawing) -> dict[str, Any]:
    """The largest attention logit of every layer."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {("layer", number): value for number, value in enumerate(probe["max_logit"])}

    series = draw.probed("attention", figures, log=True)
    lines = [
        {"label": {"t": "large"}, "y": ATTENTION_LOGIT},
        {"label": {"t": "broken"}, "y": ATTENTION_LOGIT_BROKEN},
    ]
    return panel("attention", series, log=True, lines=lines)


def entropy(draw: Drawing) -> dict[str, Any]:
    """The entropy of attention of every layer, of what is possible."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {("layer", number): value for number, value in enumerate(probe["entropy"])}

    return panel("entropy", draw.probed("attention", figures))


def output_logits(draw: Drawing) -> dict[str, Any]:
    """Mean ln Z of the output logits."""
    return panel("logits", draw.probed("logits", lambda probe: {("log-z",): probe["log_z"]}))


def growth(draw: Drawing) -> dict[str, Any]:
    """What makes output logits grow: the size of the norms' gains and of the token embedding."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {(name,): probe[name] for name in ("gain_rms", "wte_rms") if name in probe}

    return panel("growth", draw.probed("logits", figures, log=True), log=True)


def units(draw: Drawing) -> dict[str, Any]:
    """The share of inactive units in every feed-forward."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {("layer", number): value for number, value in enumerate(probe["inactive"])}

    return panel("units", draw.probed("units", figures), lines=[{"label": {"t": "dead"}, "y": DEAD_SHARE}])


def rank(draw: Drawing) -> dict[str, Any]:
    """The effective rank of what every block leaves, of its width."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {("layer", number): value for number, value in enumerate(probe["rank"])}

    return panel("rank", draw.probed("units", figures))


def sharpness(draw: Drawing) -> dict[str, Any]:
    """The largest eigenvalue of the Hessian of the loss."""
    series = draw.probed("sharpness", lambda probe: {("sharpness",): probe["value"]}, log=True)
    return panel("sharpness", series, log=True)


def noise(draw: Drawing) -> dict[str, Any]:
    """The gradient noise scale, and the tokens of a step."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        found = {("tokens",): probe["tokens"]}
        return found | ({("noise-scale",): probe["scale"]} if probe.get("scale") else {})

    return panel("noise", draw.probed("noise", figures, log=True), log=True)


def memory(draw: Drawing, id: str) -> dict[str, Any]:
    """Figures of a memory by layer: its gates, or its norm and size."""
    names, log = MEMORY[id]
    series = []
    for run, source in enumerate(draw.sources):
        for name in names:
            prefix = f"memory.{name}."
            for column in source.columns.names():
                if column.startswith(prefix):
                    label = {"t": f"memory-{name}", "n": int(column.removeprefix(prefix))}
                    series += draw.curve(run, label, *source.columns.column(column), log=log)
    return panel(id, series, log=log)


def tasks(draw: Drawing) -> dict[str, Any]:
    """The validation loss of every task of a sequence, and the forgetting matrix."""
    series = []
    for run, source in enumerate(draw.sources):
        for column in source.columns.names():
            if column.startswith("tasks."):
                series += draw.curve(run, column.removeprefix("tasks."), *source.columns.column(column))
    matrices = [(run, forgetting_matrix(source)) for run, source in enumerate(draw.sources)]
    return panel("tasks", series, tables=[{"run": run, **matrix} for run, matrix in matrices if matrix])


def forgetting_matrix(source: Source) -> dict[str, Any] | None:
    """Return each task's validation loss after every task, and what was forgotten; None without tasks.

    Returns:
        tasks: names of the columns. rows: (the task that had just been learnt, losses). forgotten: the last
            loss − the lowest one, by column.
    """
    names = source.config.task_names() if source.config else []
    columns = [source.columns.column(f"tasks.{name}") for name in names]
    if not columns or not all(len(steps) for steps, _ in columns):
        return None
    rows = []
    for number, name in enumerate(names):
        end = -(-(number + 1) * source.config.steps // len(names)) - 1
        at = [values[steps == end] for steps, values in columns]
        if all(map(len, at)):
            rows.append([name, [round(float(found[-1]), 3) for found in at]])
    forgotten = [round(float(values[-1] - values.min()), 3) for _, values in columns]
    return {"tasks": names, "rows": rows, "forgotten": forgotten}


def plasticity(draw: Drawing) -> dict[str, Any]:
    """Declared writes beside the optimizer, in the size of the weights, and how often units fire."""
    series = []
    for run, source in enumerate(draw.sources):
        for name in ("change", "rate"):
            column = source.columns.column(f"plasticity.{name}")
            series += draw.curve(run, {"t": f"plasticity-{name}"}, *column, log=True)
    return panel("plasticity", series, log=True)
