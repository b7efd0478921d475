"""`minigpt train`: train a mini-GPT, healthy or with faults, into a run directory."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path

import yaml
from jsonargparse import Namespace

from minigpt.cli.parser import Parser, UsageError
from minigpt.config import Config, setting_types
from minigpt.messages import message
from minigpt.progress import ProgressBar
from minigpt.recipe import Recipe
from minigpt.run_directory import Run
from minigpt.trainer import Trainer, resume


def add_arguments(parser: Parser) -> None:
    """Add one flag for every setting, and those that say where the run is kept."""
    parser.add_argument(
        "--fault", action="append", default=[], metavar="FAULT", help=message("train.fault-help")
    )
    parser.add_argument(
        "--run-dir", type=str | None, default=None, metavar="DIR", help=message("train.run-dir-help")
    )
    parser.add_argument(
        "--resume", type=str | None, default=None, metavar="DIR", help=message("train.resume-help")
    )
    parser.add_argument("--config", action="config", metavar="FILE.yaml", help=message("train.config-help"))
    parser.add_argument("--print-config", action="store_true", help=message("train.print-config-help"))
    for field in fields(Config):
        flag = f"--{field.name.replace('_', '-')}"
        kind = setting_types()[field.name]
        parser.add_argument(flag, type=kind, default=field.default, help=message(f"settings.{field.name}"))


def run(arguments: Namespace) -> int:
    """Train, and say where the run lies and how to go on."""
    config = Config(**{field.name: getattr(arguments, field.name) for field in fields(Config)})
    if arguments.print_config:
        print(yaml.safe_dump(config.to_dict(), sort_keys=False), end="")
        return 0
    trainer = _resumed(arguments, config) if arguments.resume else _new(arguments, config)
    for error in trainer.skipped_checkpoints:
        print(message("checkpoint.skipped", detail=error))
    finished = trainer.run()
    if trainer.world.rank > 0:
        return 0
    if trainer.stops_early:
        print(message("train.stopped-early", step=trainer.step, patience=config.patience))
    last = finished.metrics[-1]
    print(
        message(
            "train.done", path=finished.path, loss=last["loss"], val_loss=last.get("val_loss", float("nan"))
        )
    )
    return 0


def _new(arguments: Namespace, config: Config) -> Trainer:
    recipe = Recipe(config)
    for fault in arguments.fault:
        recipe = recipe.with_fault(fault)
    name = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), *recipe.faults, f"seed{config.seed}"])
    run_dir = arguments.run_dir or Path("experiments") / name.replace(":", "x")
    return Trainer(recipe, run_dir, [ProgressBar()])


def _resumed(arguments: Namespace, config: Config) -> Trainer:
    if arguments.run_dir or arguments.fault:
        raise UsageError("train.resume-alone", given="--run-dir" if arguments.run_dir else "--fault")
    saved = Run(arguments.resume).config
    for field in fields(Config):
        asked, was = getattr(config, field.name), getattr(saved, field.name)
        if asked not in (field.default, was):
            raise UsageError("train.resume-changes", name=field.name, asked=asked, was=was)
    return resume(arguments.resume, [ProgressBar()])
