"""The panels as plain data: what to draw, and nothing of how.

A panel is `{"id", "log", "series", "lines", "bands"}`. A series is a curve of one run: `run` (its index),
`label`, `x`, `y`, and `style` where it is not a plain line ("dashed", "pale", "points", "events"). A label is
a name as it is (a tensor's), or `{"t": key}` for a text that the page looks up in the reader's language.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigpt.dashboard.drawing import Drawing, panel
from minigpt.dashboard.dynamics import PREFIXES, dynamics_panels, events
from minigpt.dashboard.series import rolling_mean, thin
from minigpt.dashboard.source import NAMES, RATES, Source
from minigpt.runs.thresholds import GRADIENT_BANDS, GRADIENT_STEPS
from minigpt.training.schedule import lr_at

MOST_OTHERS = 12  # columns that fit no panel
OURS = (  # a trainer's columns that are drawn elsewhere, summed up, or of no use as a curve
    *("step", "loss", "grad_norm", "val_loss", "clipped", "tokens", "seconds", "scale", "skipped", "attempt"),
    *("loss_spike", "grad_spike", "loss_recovered", "loss_spikes", "grad_spikes", "recoveries"),
    *("attempt", "data_step", "lr_scale", "dropped"),
    *("loss_variance", "grad_norm_p90", "tokens_per_second", "eta_seconds"),
    *("target_loss", "target_steps", "target_seconds"),
)
SMOOTH = 250  # stretches of a long run; the smoothed loss looks back on one of them


def panels(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return the seven panels, those of the dynamics, then one for every other column that a log holds."""
    draw = Drawing(sources)
    seven = (loss, learning_rates, gradients, activations, weights, moments, verb_classes)
    return [*(one(draw) for one in seven), *dynamics_panels(draw), *others(draw)]


def loss(draw: Drawing) -> dict[str, Any]:
    """Training and validation loss, with chance (ln V) and the n-gram baseline."""
    series, lines = [], {}
    for run, source in enumerate(draw.sources):
        steps, losses = source.column("loss")
        long = len(steps) > draw.points  # so long that thinning shows a band: its middle is drawn as well
        series += draw.curve(run, {"t": "train"}, steps, losses, style="pale" if long else "")
        if long:
            smooth = rolling_mean(losses, len(steps) // SMOOTH)
            series += draw.curve(run, {"t": "smoothed"}, steps, smooth)
        series += draw.curve(run, {"t": "validation"}, *source.column("val_loss"), style="dashed")
        series += _spikes(draw, run, source, "loss", "loss_spike")
        series += events(draw, run, source)
        if source.config:
            lines["chance", round(math.log(source.config.vocab_size), 4)] = None
        for probe in source.probed("baselines"):
            if "ngram_loss" in probe:
                lines["ngram", round(probe["ngram_loss"], 4)] = None
    return panel("loss", series, lines=[{"label": {"t": key}, "y": y} for key, y in lines])


def learning_rates(draw: Drawing) -> dict[str, Any]:
    """The rate of every parameter group, and the schedule that the config asked for."""
    series = []
    for run, source in enumerate(draw.sources):
        asked = {}
        for group, column in source.rates().items():
            steps, values = source.columns.column(column)
            series += draw.curve(run, group, steps, values)
            if source.config and len(steps):
                multiplier = source.config.multipliers().get(group.partition(":")[2], 1.0)
                asked.setdefault(multiplier, np.unique(thin(steps, values, draw.points)[0]))
        for multiplier, steps in asked.items():
            rates = np.array([lr_at(step, source.config) * multiplier for step in steps.tolist()])
            label = {"t": "asked"} | ({} if multiplier == 1 else {"n": f"× {multiplier:g}"})
            series += draw.curve(run, label, steps, rates, style="dashed")
    return panel("lr", series)


def gradients(draw: Drawing) -> dict[str, Any]:
    """The gradient norm before clipping, its rolling mean, the bands it should lie in, where it is cut."""
    series, lines = [], {}
    for run, source in enumerate(draw.sources):
        steps, norms = source.column("grad_norm")
        series += draw.curve(run, {"t": "norm"}, steps, norms, log=True, style="pale")
        series += draw.curve(run, {"t": "rolling"}, steps, rolling_mean(norms, GRADIENT_STEPS), log=True)
        series += _spikes(draw, run, source, "grad_norm", "grad_spike")
        if source.config:
            lines["clip", source.config.clip_norm] = None
    bands = [{"label": {"t": key}, "from": low, "to": high} for key, low, high in GRADIENT_BANDS]
    lines = [{"label": {"t": key}, "y": y} for key, y in lines]
    return panel("gradients", series, log=True, lines=lines, bands=bands)


def _spikes(draw: Drawing, run: int, source: Source, name: str, event: str) -> list[dict[str, Any]]:
    """Return the points of `name` at which telemetry recorded a spike."""
    at, _ = source.columns.column(event)
    if not len(at):
        return []
    steps, values = source.column(name)
    here = np.isin(steps, at) & np.isfinite(values)
    return draw.curve(run, {"t": "spike"}, steps[here], values[here], style="points")


def activations(draw: Drawing) -> dict[str, Any]:
    """The residual stream's root mean square after the embedding and after every block."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        names = [("embedding",), *(("block", number) for number in range(1, len(probe["rms"])))]
        return dict(zip(names, probe["rms"], strict=True))

    return panel("activations", draw.probed("activations", figures, log=True), log=True)


def weights(draw: Drawing) -> dict[str, Any]:
    """The largest singular value of every matrix."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {name: tensor["spectral_norm"] for name, tensor in probe["tensors"].items()}

    return panel("weights", draw.probed("weights", figures, log=True), log=True)


def moments(draw: Drawing) -> dict[str, Any]:
    """Adam's moments over all parameters, and its step counter over the steps taken."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        tensors = probe["tensors"].values()
        counter = min(tensor["counter"] for tensor in tensors)
        return {
            ("m",): math.sqrt(sum(tensor["m"] ** 2 for tensor in tensors)),
            ("v",): math.sqrt(sum(tensor["v"] ** 2 for tensor in tensors)),
            ("counter",): counter / (probe["step"] + 1),
        }

    return panel("moments", draw.probed("moments", figures, log=True), log=True)


def verb_classes(draw: Drawing) -> dict[str, Any]:
    """The validation loss of regular and of irregular verbs."""

    def figures(probe: dict[str, Any]) -> dict[Any, float]:
        return {(name,): value for name, value in probe["loss"].items()}

    return panel("verbs", draw.probed("verb-classes", figures))


def others(draw: Drawing) -> list[dict[str, Any]]:
    """A panel for every column that W&B recorded and that fits none of the seven, the first few."""
    known = {*OURS, *RATES, *(name for names in NAMES.values() for name in names)}
    names: dict[str, None] = {}
    for source in draw.sources:
        names |= {n: None for n in source.columns.names() if not n.startswith(("lr.", *PREFIXES))}
    found = []
    for name in [name for name in names if name not in known][:MOST_OTHERS]:
        curves = [
            curve
            for run, source in enumerate(draw.sources)
            for curve in draw.curve(run, name, *source.columns.column(name))
        ]
        found.append(panel("other", curves, name=name))
    return found
