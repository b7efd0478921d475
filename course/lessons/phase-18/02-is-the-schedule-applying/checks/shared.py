"""What the exercises of lesson 18-02 share: the words for a fault, and schedules to ask about."""

import numpy as np

from minigpt import Config
from minigpt.training.schedule import lr_at

PASS, ZERO, FLAT, LATE = "pass", "base-lr-zero", "scheduler-never-stepped", "warmup-off-by-one"
UNIT, SCALE, JUMPS, UNKNOWN = "schedule-step-unit", "lr-group-scale", "lr-discontinuous", "unknown"
WORDS = (PASS, ZERO, FLAT, LATE, UNIT, SCALE, JUMPS, UNKNOWN)


def draw_settings(rng):
    """A schedule whose numbers are not the lesson's, and whose run outlasts a warm-up stretched by 3."""
    warmup = int(rng.integers(6, 13))
    lr_max = round(float(10 ** rng.uniform(-4, -1.5)), 6)
    share = float(rng.choice([0.05, 0.1, 0.2]))
    steps = 4 * warmup + int(rng.integers(5, 30))
    return {"steps": steps, "warmup_steps": warmup, "lr_max": lr_max, "lr_min": lr_max * share}


def config_of(case, **more):
    names = ("steps", "warmup_steps", "lr_max", "lr_min")
    return Config(**{name: case[name] for name in names}, **more)


def curve_of(settings, schedule_at=lr_at, **more):
    config = config_of(settings, **more)
    return np.array([schedule_at(step, config) for step in range(config.steps)])


def linear_at(step, config):
    """Another schedule than the lesson's: warm-up, then straight down."""
    if step < config.warmup_steps:
        return config.lr_max * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps + 1) / max(config.steps - config.warmup_steps, 1)
    return config.lr_max + (config.lr_min - config.lr_max) * min(share, 1.0)


def stretched(settings, accumulation, schedule_at=lr_at):
    """The rates of a schedule that counts micro-batches, over the steps that the run takes."""
    longer = {name: accumulation * settings[name] for name in ("steps", "warmup_steps")}
    return curve_of(settings | longer, schedule_at)[: settings["steps"]]
