"""How much the rate matters: learning-rate sensitivity (Wortsman et al., 2309.14322, 2023, section 2.2).

    rates = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
    curve = sweep(Recipe(config), rates)
    print(curve.sensitivity)                 # 0.61 nats; 0 where every rate does as well as the best

A whole run is trained at each rate of a grid, and its last validation loss is taken, at most the loss before
the first step: what diverged learnt nothing. The sensitivity is their mean − the best of them.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigpt.messages import MiniGPTError, message
from minigpt.training.guards import GuardError
from minigpt.training.picture import drawing
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, Trainer


@dataclass(frozen=True)
class Outcome:
    """One run of a sweep."""

    lr: float
    start: float  # validation loss before the first step, in nats per token
    loss: float  # after the last one; NaN where the run diverged

    @property
    def learnt(self) -> bool:
        """Whether it ended below where it began."""
        return self.loss < self.start


@dataclass(frozen=True)
class Curve:
    """The runs of one grid, by rate."""

    runs: tuple[Outcome, ...]

    @property
    def sensitivity(self) -> float | None:
        """In nats; None where no run learnt, so that there is no best one."""
        if not any(run.learnt for run in self.runs):
            return None
        return lr_sensitivity([run.loss for run in self.runs], self.runs[0].start)

    @property
    def best(self) -> Outcome | None:
        """The run with the lowest loss; None where no run learnt."""
        return min((run for run in self.runs if run.learnt), key=lambda run: run.loss, default=None)


def lr_sensitivity(losses: Sequence[float], start: float) -> float:
    """Return mean − best of final losses, each at most the loss at the `start`; NaN and ∞ count as that."""
    capped = [min(loss, start) if math.isfinite(loss) else start for loss in losses]
    return sum(capped) / len(capped) - min(capped)


def refuse_grid(rates: Sequence[float]) -> None:
    """Refuse rates that are no grid.

    Raises:
        MiniGPTError: fewer than two, one twice, or one that is not above 0.
    """
    if len(rates) < 2 or len(set(rates)) < len(rates) or not all(0 < rate < math.inf for rate in rates):
        raise MiniGPTError("sensitivity.bad-grid", given=", ".join(f"{rate:g}" for rate in rates))


def sweep(recipe: Recipe, rates: Sequence[float]) -> Curve:
    """Train the recipe once at each rate, in a folder that is thrown away.

    Raises:
        MiniGPTError: the rates are no grid, or the recipe cannot be trained.
    """
    return Curve(tuple(outcomes(recipe, rates)))


def outcomes(recipe: Recipe, rates: Sequence[float]) -> Iterator[Outcome]:
    """Yield each run of a sweep as it ends, from the lowest rate to the highest.

    The rate's shape stays: lr_min keeps its share of lr_max.

    Raises:
        MiniGPTError: the rates are no grid, or the recipe cannot be trained.
    """
    refuse_grid(rates)
    config = recipe.config
    lowest = config.lr_min / config.lr_max if config.lr_max else 0.0
    for rate in sorted(rates):
        at = config.replace(
            **{"lr_max": rate, "lr_min": lowest * rate, "eval_every": 0, "patience": 0},
            **{"checkpoint_every": 0, "instruments_every": 0, "stop_on_non_finite": True},
        )
        yield _trained(dataclasses.replace(recipe, config=at))


class _FirstLoss:
    """Notes the validation loss before the first step."""

    value = math.nan

    def on_start(self, trainer: Any) -> None:
        self.value = trainer.evaluate()


def _trained(recipe: Recipe) -> Outcome:
    first, loss = _FirstLoss(), math.nan
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, Path(folder) / "run", [first], telemetry=False)
        try:
            loss = float(trainer.run().column("val_loss")[1][-1])
        except (NotFiniteError, GuardError):  # it diverged, or a guard has given up
            pass
    return Outcome(recipe.config.lr_max, first.value, loss if math.isfinite(loss) else math.nan)


def plot(curves: dict[str, Curve], path: str | Path) -> None:
    """Draw final losses by rate, a line for each name, as SVG, PNG or PDF; labels in the language in force.

    A run that diverged stands at the loss before its first step.

    Raises:
        MiniGPTError: the file is of no such kind, or cannot be written.
    """
    with drawing(path, salt="sensitivity") as axes:
        for number, (name, curve) in enumerate(curves.items()):
            rates = [run.lr for run in curve.runs]
            losses = [run.loss if run.learnt else run.start for run in curve.runs]
            value = curve.sensitivity
            label = name if value is None else message("sensitivity.curve", name=name, value=value)
            axes.plot(rates, losses, color=f"C{number}", linewidth=2, marker="o", label=label)
            lost = [(run.lr, run.start) for run in curve.runs if not run.learnt]
            if lost:
                axes.plot(*zip(*lost, strict=True), "x", color="C3", markersize=10)
        start = next(iter(curves.values())).runs[0].start
        axes.axhline(start, color="0.75", linestyle="--", label=message("sensitivity.start"))
        axes.set(xscale="log", xlabel=message("sensitivity.rate"), ylabel=message("sensitivity.loss-axis"))
        axes.set_title(message("sensitivity.title"))
        axes.legend()
