"""A run as a recipe: one config and the few parts that a training loop is made of.

The trainer composes parts and knows nothing of faults. A fault is a patch of one part, so a broken run is the
healthy recipe with one part exchanged, and any part can be exchanged by hand:

    recipe = Recipe(Config(steps=200))
    broken = recipe.with_fault("init-scale")
    mine = dataclasses.replace(recipe, lr_at=lambda step, config: 1e-3)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial

from minigpt.config import Config, ConfigError, GuardsConfig
from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.model.gpt import build_model, init_weights
from minigpt.runs.run import Run
from minigpt.training import parts
from minigpt.training.catalogue import find_registered
from minigpt.training.guards import Guard, refuse_contradictions
from minigpt.training.guards.clipping import CLIPPERS
from minigpt.training.guards.configured import OF_SNAPSHOTS, STAYS, guards_of
from minigpt.training.loss import cross_entropy
from minigpt.training.optim import build_optimizer
from minigpt.training.plasticity import build_plasticity
from minigpt.training.precision import build_precision
from minigpt.training.schedule import lr_at
from minigpt.training.step import accumulate, clip, seed_step, step


@dataclass(frozen=True)
class Recipe:
    """A config, and the parts that the trainer composes; `minigpt.training.parts` types each of them."""

    config: Config = field(default_factory=Config)
    load_data: parts.LoadData = load_data
    get_batch: parts.GetBatch = get_batch
    build_model: parts.BuildModel = build_model
    init_weights: parts.InitWeights = init_weights
    build_optimizer: parts.BuildOptimizer = build_optimizer
    build_precision: parts.BuildPrecision = build_precision
    lr_at: parts.LrAt = lr_at
    loss: parts.Loss = cross_entropy
    seed_step: parts.SeedStep = seed_step
    accumulate: parts.Accumulate = accumulate
    clip: parts.Clip = clip
    step: parts.Step = step
    build_plasticity: parts.BuildPlasticity = build_plasticity  # declared writes beside the optimizer
    guards: tuple[Guard, ...] = ()  # what may drop a step, roll back or scale the rate
    faults: tuple[str, ...] = ()  # ids, with ":severity" where one was given, in the order applied

    def __post_init__(self) -> None:
        refuse_contradictions(self.all_guards)
        if self.loss is cross_entropy and self.config.z_loss:
            object.__setattr__(self, "loss", partial(cross_entropy, z_loss=self.config.z_loss))

    @property
    def all_guards(self) -> tuple[Guard, ...]:
        """The guards that the config switches on, then the recipe's own."""
        return (*guards_of(self.config), *self.guards)

    @property
    def clipper(self) -> parts.Clip:
        """The clipper that the config names, unless the recipe has one of its own."""
        chosen = CLIPPERS.get(self.config.clipper)
        return chosen() if chosen and self.clip is clip else self.clip

    def with_fault(self, fault: str, severity: float | None = None) -> Recipe:
        """Return this recipe with one part broken; faults compose.

        Args:
            fault: an id of `minigpt.faults.FAULTS`, or `"id:severity"`.

        Raises:
            MiniGPTError: no fault has that id (the nearest is suggested), it has no severity to set, or
                `minigpt.faults` was never imported.
        """
        found, severity = find_registered(fault, severity)
        patched = found.patch(getattr(self, found.part), self, severity)
        label = found.id if severity in (None, found.severity) else f"{found.id}:{severity:g}"
        return dataclasses.replace(self, **{found.part: patched}, faults=(*self.faults, label))

    def refuse_idle(self) -> None:
        """Refuse settings that were changed and have no effect in a run by this recipe.

        Raises:
            ConfigError: names the first one.
        """
        self.config.refuse_idle()
        goes_back = any(not isinstance(guard, STAYS) for guard in self.all_guards)
        for setting in fields(GuardsConfig):
            value = getattr(self.config, setting.name)
            if value != setting.default and setting.name in OF_SNAPSHOTS and not goes_back:
                raise ConfigError("config.idle-snapshots", name=setting.name, given=value)

    @property
    def own_parts(self) -> list[str]:
        """Names of the parts that were exchanged by hand, which no run directory can tell."""
        patched = {find_registered(fault)[0].part for fault in self.faults}
        others = [part for part in fields(self) if part.name not in {"config", "faults"} | patched]
        return [part.name for part in others if _bare(getattr(self, part.name)) is not part.default]


def _bare(part: Callable) -> Callable:
    """Return a part without the settings that are bound to it."""
    return part.func if isinstance(part, partial) else part


def recipe_of(run: Run) -> Recipe:
    """Return the recipe that a run was trained by, its faults included."""
    recipe = Recipe(run.config)
    for fault in run.manifest.get("faults", []):
        recipe = recipe.with_fault(fault)
    return recipe
