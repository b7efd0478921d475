"""Clean runs, plain and awkward: what each kind changes in a recipe that is right, and leaves it right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


def _with(**settings: Any) -> Callable[[Recipe, Path], Recipe]:
    return lambda recipe, folder: dataclasses.replace(recipe, config=recipe.config.replace(**settings))


def _small_batch(recipe: Recipe, folder: Path) -> Recipe:
    return _with(batch_size=2, accumulation=1, context=16)(recipe, folder)


def _fine_tuning(recipe: Recipe, folder: Path) -> Recipe:
    """Go on from another run's weights, at a fifth of the rate."""
    config = recipe.config
    train(dataclasses.replace(recipe, config=config.replace(seed=config.seed + 100)), folder / "base")
    gentle = {"lr_max": config.lr_max / 5, "lr_min": config.lr_min / 5}
    return _with(init_from=str(folder / "base"), **gentle)(recipe, folder)


def _label_smoothing(recipe: Recipe, folder: Path) -> Recipe:
    def smoothed(logits, targets, mask):
        losses = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=0.1
        )
        counted = mask.flatten()
        return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)

    return dataclasses.replace(recipe, loss=smoothed)


def _early_spike(recipe: Recipe, folder: Path) -> Recipe:
    """Once, a step far too long throws the weights off; the run recovers from it."""
    taken = 0

    def step(optimizer, precision, lr):
        nonlocal taken
        recipe.step(optimizer, precision, lr)
        taken += 1
        if taken == 20:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for parameter in group["params"]:
                        parameter.add_(torch.randn_like(parameter), alpha=0.1)

    return dataclasses.replace(recipe, step=step)


def _masked(counts: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Recipe, Path], Recipe]:
    """Let only some positions of a sequence count: `counts(position, place)`, the place drawn each time."""

    def change(recipe: Recipe, folder: Path) -> Recipe:
        def get_batch(tokens, config, step, *micro):
            batch = recipe.get_batch(tokens, config, step, *micro)
            generator = torch.Generator().manual_seed(config.seed * 10_000 + step)
            shape = batch.mask[:, :1].shape
            places = torch.randint(config.context // 3, config.context, shape, generator=generator)
            return batch._replace(mask=counts(torch.arange(config.context), places))

        return dataclasses.replace(recipe, get_batch=get_batch)

    return change


CLEAN: dict[str, Callable[[Recipe, Path], Recipe]] = {
    "plain": _with(),
    "constant-lr": _with(schedule="constant", warmup_steps=0),
    "no-warm-up": _with(warmup_steps=0),
    "small-batch": _small_batch,
    "fine-tuning": _fine_tuning,
    "label-smoothing": _label_smoothing,
    "frozen-embedding": _with(freeze="wte"),
    "early-spike": _early_spike,
    "post-norm-shallow": _with(n_layer=1, norm_position="post"),
    "padded": _masked(torch.lt),
    "multipliers": _with(lr_multipliers="wte=0.2,h.0=2"),
    "no-decay": _with(weight_decay=0.0),
    "low-lr": _with(lr_max=3e-4, lr_min=3e-5),
    "high-lr": _with(lr_max=2e-2, lr_min=2e-3),
    "long-warm-up": _with(warmup_steps=200),
    "much-dropout": _with(dropout=0.3),
    "bf16": _with(precision="bf16"),
    "deep": _with(n_layer=8),
    "long": _with(),
    "no-clipping": _with(clip_norm=1e9),
    "one-sequence": _with(batch_size=1, accumulation=1),
    "answers-only": _masked(torch.ge),
    "z-loss": _with(z_loss=1e-4),
}
