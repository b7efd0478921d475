"""What a guard undid: the steps that were tried, rolled back and tried again, as curves of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigpt.dashboard.series import as_lists, thin
from minigpt.dashboard.source import Source

PANELS = {"loss": "loss", "gradients": "grad_norm"}  # panel → the column that was also logged in vain
MOST_ATTEMPTS, POINTS = 8, 300  # curves a run, and points a curve


def with_attempts(panels: list[dict[str, Any]], sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return the panels with a curve of style "undone" for every attempt that was rolled back."""
    drawn = []
    for panel in panels:
        more = []
        if column := PANELS.get(panel["id"]):
            for run, source in enumerate(sources):
                more += _undone(run, source, column, panel["log"])
        drawn.append(panel | {"series": [*panel["series"], *more]})
    return drawn


def _undone(run: int, source: Source, column: str, log: bool) -> list[dict[str, Any]]:
    curves: dict[int, list[tuple[int, float]]] = {}
    for record in source.undone:
        value = record.get(column)
        if isinstance(value, int | float):
            curves.setdefault(int(record.get("attempt", 0)), []).append((record["step"], float(value)))
    series = []
    for attempt in sorted(curves)[:MOST_ATTEMPTS]:
        steps, values = (np.array(side) for side in zip(*sorted(curves[attempt]), strict=True))
        points = as_lists(*thin(steps, values.astype(float), POINTS), positive=log)
        series.append({"run": run, "label": {"t": "undone", "n": attempt + 1}, **points, "style": "undone"})
    return series
