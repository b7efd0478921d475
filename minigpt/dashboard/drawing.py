"""Columns and probes as curves with an even share of the page's points."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigpt.dashboard.series import as_lists, thin
from minigpt.dashboard.source import Source

POINTS = 120_000  # in the whole page: about 2 MB
MOST_POINTS, LEAST_POINTS = 2000, 100  # in one curve
MOST_CURVES, LEAST_CURVES = 12, 4  # of one probe: of all runs together, and at least of each


class Drawing:
    """Turns columns into curves with an even share of the page's points."""

    def __init__(self, sources: Sequence[Source]):
        self.sources = sources
        curves = sum(8 + len(source.rates()) for source in sources)
        self.points = max(LEAST_POINTS, min(MOST_POINTS, POINTS // max(curves, 1)))

    def curve(
        self, run: int, label: Any, steps: np.ndarray, values: np.ndarray, log: bool = False, style: str = ""
    ) -> list[dict[str, Any]]:
        """Return one curve, or none where there is nothing to draw."""
        if not len(steps):
            return []
        points = as_lists(*thin(steps, values, self.points), positive=log)
        return [{"run": run, "label": label, **points} | ({"style": style} if style else {})]

    def probed(
        self, kind: str, figures: Callable[[dict[str, Any]], dict[Any, float]], log: bool = False
    ) -> list[dict[str, Any]]:
        """Return a curve for every figure that a kind of probe holds, the largest at the end first."""
        curves = []
        for run, source in enumerate(self.sources):
            found: dict[Any, list[tuple[int, float]]] = {}
            for probe in source.probed(kind):
                with contextlib.suppress(KeyError, TypeError, ValueError):  # a probe of another version
                    for label, value in figures(probe).items():
                        found.setdefault(label, []).append((int(probe["step"]), float(value)))
            for label in _chosen(found, max(LEAST_CURVES, MOST_CURVES // len(self.sources))):
                steps, values = (np.array(side) for side in zip(*found[label], strict=True))
                curves += self.curve(run, _label(label), steps, values.astype(float), log)
        return curves


def _chosen(found: dict[Any, list[tuple[int, float]]], most: int) -> list[Any]:
    """Return the labels to draw: all, or of too many the largest, in the order of the model."""
    largest = sorted(found, key=lambda label: -np.nan_to_num(found[label][-1][1]))[:most]
    return [label for label in found if label in largest]


def _label(label: Any) -> Any:
    return label if isinstance(label, str) else {"t": label[0], **({"n": label[1]} if len(label) > 1 else {})}


def panel(id: str, series: list[dict[str, Any]], log: bool = False, **more: Any) -> dict[str, Any]:
    """Return a panel as plain data."""
    return {"id": id, "log": log, "series": series, "lines": [], "bands": []} | more
