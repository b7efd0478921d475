"""The learning-rate range test (Smith, “Cyclical Learning Rates for Training Neural Networks”, 2017).

    found = find_lr(Recipe(config))
    print(found.suggestion)
    plot(found, "lr-find.svg")

A throw-away copy of the run is trained while the rate rises exponentially, from far too low to far too high.
The loss first stays, then falls, then blows up; a good lr_max lies where it falls, well below the blow-up.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.config import Config
from minigpt.config.sections import GuardsConfig
from minigpt.messages import MiniGPTError, message
from minigpt.training.picture import drawing
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, Trainer

MEMORY = 0.9  # of the running mean that smooths the loss
BLOW_UP = 0.25  # the loss has blown up when it has lost this share of its fall again
LEAST_FALL = 0.03  # of the first loss: a smaller fall is not a descent
LEAST_SIGNAL = 4.0  # × the scatter from one step to the next: neither is there below this


@dataclass(frozen=True)
class Finding:
    """What a sweep saw; the three rates are None where the curve shows none."""

    lr: list[float]
    loss: list[float]  # nats per token, at each rate
    smoothed: list[float]
    steepest: float | None  # the rate at which the smoothed loss falls fastest on a logarithmic axis
    blows_up: float | None  # the lowest rate at which it has risen again
    suggestion: float | None  # for lr_max: the steepest, but at least a decade below the blow-up


class _Stop(Exception):
    """The loss has blown up: higher rates have nothing to say."""


class _Watch:
    """Collects the sweep, and ends it once the loss is far above where it began."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_record(self, _trainer: Trainer, record: dict[str, Any]) -> None:
        if not math.isfinite(record["loss"] + record["grad_norm"]) and not record.get("skipped"):
            return
        self.losses.append(record["loss"])
        if record["loss"] > 2 * self.losses[0]:
            raise _Stop


def find_lr(recipe: Recipe, lr_start: float = 1e-5, lr_end: float = 10.0, sweep_steps: int = 200) -> Finding:
    """Sweep the rate over a copy of the run and return what the loss did; the run itself is not touched.

    Raises:
        MiniGPTError: the sweep makes no sense, or the recipe cannot be trained.
    """
    if not (0 < lr_start < lr_end < math.inf and sweep_steps >= 20):
        raise MiniGPTError("lr_find.bad-sweep", start=lr_start, end=lr_end, steps=sweep_steps)
    rates = np.geomspace(lr_start, lr_end, sweep_steps).tolist()

    def sweep(step: int, _config: Config) -> float:
        return rates[step]

    config = recipe.config.replace(
        **{"steps": sweep_steps, "warmup_steps": 0, "eval_every": 0, "eval_batches": 1, "patience": 0},
        **{"checkpoint_every": 0, "stop_on_non_finite": True},
        **{setting.name: setting.default for setting in fields(GuardsConfig) if setting.name != "clipper"},
    )
    watch = _Watch()
    with tempfile.TemporaryDirectory() as folder:
        copy = dataclasses.replace(recipe, config=config, lr_at=sweep, guards=())  # the loss shall blow up
        trainer = Trainer(copy, Path(folder) / "sweep", [watch], telemetry=False)
        try:
            trainer.run()
        except (_Stop, NotFiniteError):
            pass
    return read_curve(rates[: len(watch.losses)], watch.losses)


def read_curve(lr: list[float], loss: list[float]) -> Finding:
    """Find the descent and the blow-up in the losses of a sweep."""
    y = np.array(loss, dtype=float)
    smoothed = _smoothed(y)
    unknown = Finding(list(lr), y.tolist(), smoothed.tolist(), None, None, None)
    lowest = int(smoothed.argmin()) if len(y) else 0
    if lowest < 10:
        return unknown
    before = slice(0, lowest + 1)
    first = float(y[: max(len(y) // 20, 3)].mean())
    fall = first - smoothed[lowest]
    scatter = float(np.std(np.diff(y[before]))) / math.sqrt(2)
    if fall <= max(LEAST_FALL * abs(first), LEAST_SIGNAL * scatter):
        return unknown
    slope = np.gradient(smoothed, np.log(lr))
    steepest = lr[int(slope[before].argmin())]
    risen = np.flatnonzero(smoothed[lowest:] > smoothed[lowest] + BLOW_UP * fall)
    blows_up = lr[lowest + int(risen[0])] if len(risen) else None
    ceiling = lr[lowest] if blows_up is None else blows_up / 10
    return dataclasses.replace(
        unknown, steepest=steepest, blows_up=blows_up, suggestion=_rounded(min(steepest, ceiling))
    )


def _smoothed(y: np.ndarray) -> np.ndarray:
    """Return the running mean, corrected for its start at 0."""
    out, mean = np.empty_like(y), 0.0
    for index, value in enumerate(y):
        mean = MEMORY * mean + (1 - MEMORY) * value
        out[index] = mean / (1 - MEMORY ** (index + 1))
    return out


def _rounded(value: float) -> float:
    """Return one significant digit: the method is not more exact than that."""
    return float(f"{value:.0e}")


def plot(found: Finding, path: str | Path) -> None:
    """Draw the curve, with labels in the language in force, as SVG, PNG or PDF.

    Raises:
        MiniGPTError: the file is of no such kind, or cannot be written.
    """
    with drawing(path, salt="lr-find") as axes:
        axes.plot(found.lr, found.loss, color="0.75", linewidth=1, label=message("lr_find.loss"))
        axes.plot(found.lr, found.smoothed, color="C0", linewidth=2, label=message("lr_find.smoothed"))
        for name, color in (("suggestion", "C2"), ("blows_up", "C3")):
            value = getattr(found, name)
            if value is not None:
                label = message(f"lr_find.{name.replace('_', '-')}", value=value)
                axes.axvline(value, color=color, linestyle="--", label=label)
        axes.set(xscale="log", xlabel=message("lr_find.rate"), ylabel=message("lr_find.loss-axis"))
        axes.set_title(message("lr_find.title"))
        axes.legend()
