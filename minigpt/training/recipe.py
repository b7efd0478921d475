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

from minigpt.config import Config
from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.model.gpt import build_model, init_weights
from minigpt.runs.run import Run
from minigpt.training.loss import cross_entropy
from minigpt.training.optim import build_optimizer
from minigpt.training.schedule import lr_at
from minigpt.training.step import accumulate, clip, seed_step, step


@dataclass(frozen=True)
class Recipe:
    """A config, and the parts that the trainer composes. Each part is a plain function."""

    config: Config = field(default_factory=Config)
    load_data: Callable = load_data
    get_batch: Callable = get_batch
    build_model: Callable = build_model
    init_weights: Callable = init_weights
    build_optimizer: Callable = build_optimizer
    lr_at: Callable = lr_at
    loss: Callable = cross_entropy
    seed_step: Callable = seed_step
    accumulate: Callable = accumulate
    clip: Callable = clip
    step: Callable = step
    faults: tuple[str, ...] = ()  # ids, with ":severity" where one was given, in the order applied

    def __post_init__(self) -> None:
        if self.loss is cross_entropy and self.config.z_loss:
            object.__setattr__(self, "loss", partial(cross_entropy, z_loss=self.config.z_loss))

    def with_fault(self, fault: str, severity: float | None = None) -> Recipe:
        """Return this recipe with one part broken; faults compose.

        Args:
            fault: an id of `minigpt.faults.FAULTS`, or `"id:severity"`.

        Raises:
            MiniGPTError: no fault has that id (the nearest is suggested), or it has no severity to set.
        """
        from minigpt.faults import find_fault  # here, because faults are written in terms of parts

        found, severity = find_fault(fault, severity)
        patched = found.patch(getattr(self, found.part), self, severity)
        label = found.id if severity in (None, found.severity) else f"{found.id}:{severity:g}"
        return dataclasses.replace(self, **{found.part: patched}, faults=(*self.faults, label))

    @property
    def own_parts(self) -> list[str]:
        """Names of the parts that were exchanged by hand, which no run directory can tell."""
        from minigpt.faults import find_fault

        patched = {find_fault(fault)[0].part for fault in self.faults}
        parts = [part for part in fields(self) if part.name not in {"config", "faults"} | patched]
        return [part.name for part in parts if _bare(getattr(self, part.name)) is not part.default]


def _bare(part: Callable) -> Callable:
    """Return a part without the settings that are bound to it."""
    return part.func if isinstance(part, partial) else part


def recipe_of(run: Run) -> Recipe:
    """Return the recipe that a run was trained by, its faults included."""
    recipe = Recipe(run.config)
    for fault in run.manifest.get("faults", []):
        recipe = recipe.with_fault(fault)
    return recipe
