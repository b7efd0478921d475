"""A small, complete GPT, its trainer, its faults and their diagnosis.

from minigpt import Config, Recipe, train, check

run = train(Recipe(Config(steps=200)), "experiments/first")
print(check(run.path).verdict)

The names below are loaded on first use, so `import minigpt` costs nothing and a command that needs no torch
never imports it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigpt.config import Config
    from minigpt.diagnosis import check
    from minigpt.monitor import Monitor
    from minigpt.training.recipe import Recipe
    from minigpt.training.trainer import resume, train

# GNU OpenMP lets threads that wait for each other spin for about a millisecond, which on a busy machine keeps
# the one that they wait for from its core: two threads then took ten times as long as one. It reads its own,
# shorter, limit for such a machine from here, provided that torch was not imported before; yours comes first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOME = {
    "Config": "minigpt.config",
    "Recipe": "minigpt.training.recipe",
    "train": "minigpt.training.trainer",
    "resume": "minigpt.training.trainer",
    "check": "minigpt.diagnosis",
    "Monitor": "minigpt.monitor",
}

_FAULTS_TOO = ("Recipe", "train", "resume")  # a recipe finds faults by id once their catalogue is loaded

__all__ = ["Config", "Monitor", "Recipe", "check", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'minigpt' has no attribute {name!r}")
    if name in _FAULTS_TOO:
        import_module("minigpt.faults")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
