"""A small, complete GPT, its trainer, its faults and their diagnosis.

from minigpt import Config, Recipe, train, check

run = train(Recipe(Config(steps=200)), "experiments/first")
print(check(run.path).verdict)

The names below are loaded on first use, so `import minigpt` costs nothing and a command that needs no torch
never imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigpt.config import Config
    from minigpt.diagnosis import check
    from minigpt.monitor import Monitor
    from minigpt.training.recipe import Recipe
    from minigpt.training.trainer import resume, train

_HOME = {
    "Config": "minigpt.config",
    "Recipe": "minigpt.training.recipe",
    "train": "minigpt.training.trainer",
    "resume": "minigpt.training.trainer",
    "check": "minigpt.diagnosis",
    "Monitor": "minigpt.monitor",
}

__all__ = ["Config", "Monitor", "Recipe", "check", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'minigpt' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
