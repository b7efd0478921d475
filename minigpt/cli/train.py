"""`minigpt train`: train a mini-GPT, healthy or with faults, into a run directory.

A setting comes from the preset, a MINIGPT_… variable, a YAML file or a flag; each beats those before it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from minigpt.cli.aliases import add_aliases, from_variables, with_aliases, with_lowest_rate
from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.config import Config, setting_types
from minigpt.config.presets import load_preset
from minigpt.faults import find_fault, refuse_idle
from minigpt.messages import message, nearest

if TYPE_CHECKING:  # what needs torch is imported when a run starts, so that --help and errors come at once
    from minigpt.runs.run import Run
    from minigpt.training.recipe import Recipe
    from minigpt.training.trainer import Trainer


def add_arguments(parser: Parser) -> None:
    """Add where the run is kept, and the recipe."""
    for name, metavar in (("run-dir", "DIR"), ("resume", "DIR")):
        parser.add_argument(
            f"--{name}", type=str | None, default=None, metavar=metavar, help=message(f"train.{name}-help")
        )
    parser.add_argument("--log", action="append", default=[], metavar="NAME", help=message("train.log-help"))
    parser.add_argument(
        "--target-loss",
        type=float | None,
        default=None,
        metavar="NATS",
        help=message("train.target-loss-help"),
    )
    parser.add_argument("--print-config", action="store_true", help=message("train.print-config-help"))
    add_recipe_arguments(parser)


def add_recipe_arguments(parser: Parser) -> None:
    """Add faults, preset, YAML file and one flag for every setting; only settings given reach the result."""
    parser.add_argument(
        "--fault", action="append", default=[], metavar="FAULT", help=message("train.fault-help")
    )
    parser.add_argument(
        "--preset", type=str | None, default=None, metavar="NAME", help=message("train.preset-help")
    )
    parser.add_config(message("train.config-help"))
    for field in fields(Config):
        text = message(f"settings.{field.name}")
        if field.default not in (None, ""):
            text = message("train.setting-help", text=text, default=field.default)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=setting_types()[field.name],
            default=argparse.SUPPRESS,
            help=text,
        )
    add_aliases(parser)


def settings_given(arguments: Arguments, steps: int | None = None) -> dict[str, Any]:
    """Return the settings that a variable, a file or a flag names; `steps` as in `with_aliases`."""
    named = {field.name: arguments[field.name] for field in fields(Config) if field.name in arguments}
    return with_aliases(named, arguments, steps)


def config_given(arguments: Arguments) -> Config:
    """Return the config that the command line asks for.

    Raises:
        UsageError: a MINIGPT_… variable names no setting, so that a slip of the pen is not passed over.
    """
    known = {f"MINIGPT_{name.upper()}" for name in (*arguments.keys(), *setting_types(), "lang")}
    for name in sorted(os.environ):
        if name.startswith("MINIGPT_") and name not in known:
            raise UsageError("config.unknown-variable", name=name, hint=nearest(name, known))
    preset, variables = load_preset(arguments.preset) if arguments.preset else {}, from_variables()
    _, steps = variables.get("steps", ("", preset.get("steps")))
    given = settings_given(arguments, steps)
    followed = {setting: found for setting, found in variables.items() if setting not in given}
    for setting, (name, value) in followed.items():
        print(message("train.variable-followed", name=name, setting=setting, value=value), file=sys.stderr)
    asked = preset | {name: value for name, (_, value) in followed.items()} | given
    return Config.from_dict(with_lowest_rate(asked, arguments, followed))


def recipe_given(arguments: Arguments) -> Recipe:
    """Return the recipe that the command line asks for, its faults included.

    Raises:
        FaultError: a fault is not known, or would break nothing.
    """
    config, faults = config_given(arguments), listed(arguments.fault)
    for fault in faults:
        find_fault(fault)  # refuses a slip before seconds are spent on importing torch
    from minigpt.training.recipe import Recipe

    recipe = Recipe(config)
    for fault in faults:
        refuse_idle(recipe.faults, fault, recipe.config)
        recipe = recipe.with_fault(fault)
    return recipe


def run(arguments: Arguments) -> int:
    """Train, and say where the run is and what to do next."""
    if arguments.print_config:
        print(yaml.safe_dump(config_given(arguments).to_dict(), sort_keys=False), end="")
        return 0
    target = arguments.target_loss
    if target is not None and not 0 < target < math.inf:
        raise UsageError("train.bad-target", given=target)
    from minigpt.training.interrupt import Interrupted

    trainer = _resumed(arguments) if arguments.resume else _new(arguments)
    main = trainer.world.main
    if main:
        _tell_where_it_starts(trainer)
    try:
        finished = trainer.run()
    except Interrupted:
        if main:
            print(message("train.interrupted", step=trainer.step, path=trainer.run_dir), file=sys.stderr)
        return 130
    if main:
        _tell_how_it_ended(trainer, finished)
    if main and target is not None:
        _tell_time_to(finished, target)
    return 0


def _new(arguments: Arguments) -> Trainer:
    recipe = recipe_given(arguments)
    from minigpt.training.trainer import Trainer

    started = datetime.now().strftime("%Y%m%d-%H%M%S")
    parts = [started, arguments.preset or "", *recipe.faults, f"seed{recipe.config.seed}"]
    name = "-".join(part.replace(":", "x") for part in parts if part)
    return Trainer(recipe, arguments.run_dir or Path("experiments") / name, _callbacks(arguments))


def _resumed(arguments: Arguments) -> Trainer:
    for name in ("run_dir", "fault", "preset"):
        if arguments[name]:
            raise UsageError("train.resume-alone", given=f"--{name.replace('_', '-')}")
    from minigpt.training.trainer import resume

    return resume(arguments.resume, _callbacks(arguments), asked=settings_given(arguments))


def _callbacks(arguments: Arguments) -> list[Any]:
    from minigpt.training.callbacks.loggers import logger
    from minigpt.training.callbacks.progress import ProgressBar

    found = [ProgressBar(), *map(logger, listed(arguments.log))]
    if arguments.target_loss is None:
        return found
    from minigpt.training.callbacks.telemetry import Telemetry

    return [Telemetry(arguments.target_loss), *found]


def listed(given: list[str] | str) -> list[str]:
    """Return what was given by flags, one each, or by a variable, with commas between."""
    return given.split(",") if isinstance(given, str) else given


def _tell_where_it_starts(trainer: Trainer) -> None:
    for error in trainer.skipped_checkpoints:
        print(message("checkpoint.skipped", detail=error))
    if trainer.resumed:
        print(message("train.resuming", step=trainer.step, steps=trainer.config.steps))


def _tell_how_it_ended(trainer: Trainer, finished: Run) -> None:
    if trainer.stops_early:
        print(message("train.stopped-early", step=trainer.step, patience=trainer.config.patience))
    (_, losses), (_, val_losses) = finished.column("loss"), finished.column("val_loss")
    print(message("train.done", path=finished.path, loss=losses[-1], val_loss=val_losses[-1]))


def _tell_time_to(finished: Run, loss: float) -> None:
    """Say when the run reached a loss, or when it might."""
    from minigpt.runs.target import WINDOW, time_to

    found = time_to(finished, loss)
    key = "reached" if found.reached else "ahead" if found.steps is not None else "unknown"
    print(message(f"train.target-{key}", window=WINDOW, **vars(found)))
