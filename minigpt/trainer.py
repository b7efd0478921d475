"""The training loop: composes the parts of a recipe and writes down what happens.

    run = train(Recipe(Config(steps=200)), run_dir="experiments/first")
    print(run.metrics[-1]["loss"])

A callback is any object with some of the methods `on_start(trainer)`, `on_step(trainer, record)` and
`on_end(trainer)`; it watches the loop without changing it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from minigpt import checkpoint
from minigpt.batches import evaluation_batches
from minigpt.config import Config
from minigpt.model import parameter_count
from minigpt.probes import start_probes
from minigpt.recipe import Recipe
from minigpt.run_directory import Run, RunWriter, describe_run


class Trainer:
    """Everything that lives while a run goes on."""

    def __init__(
        self, recipe: Recipe, run_dir: str | Path, callbacks: Iterable[Any] = (), resume: bool = False
    ):
        """Build model and optimizer by the recipe; with `resume`, put them back as the last checkpoint left
        them.

        Raises:
            MiniGPTError: the data, the run directory or the checkpoint cannot be used.
        """
        self.recipe, self.config, self.callbacks = recipe, recipe.config, list(callbacks)
        self.data = recipe.load_data(self.config)
        torch.manual_seed(self.config.seed)
        self.model = recipe.build_model(self.config)
        recipe.init_weights(self.model, self.config)
        if self.config.init_from:
            source, _ = checkpoint.latest(Path(self.config.init_from) / "checkpoints")
            checkpoint.load_weights(source, self.model)
        self.optimizer = recipe.build_optimizer(self.model, self.config)
        self.step = 0  # steps done
        self.skipped_checkpoints: list[checkpoint.CheckpointError] = []
        if resume:
            source, self.skipped_checkpoints = checkpoint.latest(Path(run_dir) / "checkpoints")
            self.step = checkpoint.load(source, self.model, self.optimizer)
        self.writer = RunWriter(run_dir, resume=resume)
        if resume:
            self.writer.rewind(self.step)
        else:
            self.data.tokenizer.save(self.writer.path / "tokenizer.json")
            self.writer.manifest(
                describe_run(
                    self.config,
                    faults=list(recipe.faults),
                    data={"name": self.data.name, "sha256": self.data.hashes},
                    parameters=parameter_count(self.model),
                    starts_from=self.config.init_from,
                )
            )

    def run(self) -> Run:
        """Train to the last step. Interrupted from the keyboard, save a checkpoint first."""
        self._tell("on_start")
        try:
            if self.step == 0:
                batch = self.recipe.get_batch(self.data.train, self.config, 0)
                self.writer.probe(
                    {"step": 0, "kind": "start"} | start_probes(self.model, self.recipe.loss, batch)
                )
            while self.step < self.config.steps:
                record = self._one_step(self.step)
                self.step += 1
                if self._due(self.config.eval_every):
                    record["val_loss"] = self.evaluate()
                self.writer.metric(record)
                if self._due(self.config.checkpoint_every):
                    self.save()
                self._tell("on_step", record)
        except KeyboardInterrupt:
            self.save()
            raise
        finally:
            self._tell("on_end")
            self.writer.close()
        return Run(self.writer.path)

    def _one_step(self, step: int) -> dict[str, Any]:
        recipe, config = self.recipe, self.config
        started = time.perf_counter()
        batches = [
            recipe.get_batch(self.data.train, config, step, micro) for micro in range(config.accumulation)
        ]
        loss = recipe.accumulate(self.model, recipe.loss, batches)
        grad_norm = recipe.clip(self.model, config.clip_norm)
        recipe.step(self.optimizer, recipe.lr_at(step, config))
        return {
            "step": step,
            "loss": loss,
            "lr": {group["name"]: group["lr"] for group in self.optimizer.param_groups},
            "grad_norm": grad_norm,
            "clipped": grad_norm > config.clip_norm,
            "tokens": sum(batch.inputs.numel() for batch in batches),
            "seconds": round(time.perf_counter() - started, 6),
        }

    def _due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the mean loss on the validation side, in nats per token."""
        self.model.eval()
        total, count = 0.0, 0
        for batch in evaluation_batches(self.data.validation, self.config):
            counted = int(batch.mask.sum())
            total += self.recipe.loss(self.model(batch.inputs), batch.targets, batch.mask).item() * counted
            count += counted
        self.model.train()
        return total / max(count, 1)

    def save(self) -> Path:
        """Write a checkpoint of the steps done so far."""
        return checkpoint.save(self.writer.path / "checkpoints", self.step, self.model, self.optimizer)

    def _tell(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method:
                method(self, *arguments)


def train(recipe: Recipe, run_dir: str | Path, callbacks: Iterable[Any] = (), overwrite: bool = False) -> Run:
    """Train `recipe` into `run_dir` and return the finished run.

    Args:
        overwrite: delete what an earlier run left in `run_dir`.
    """
    if overwrite and (Path(run_dir) / "manifest.json").is_file():
        shutil.rmtree(run_dir)
    return Trainer(recipe, run_dir, callbacks).run()


def resume(run_dir: str | Path, callbacks: Iterable[Any] = ()) -> Trainer:
    """Return a trainer that goes on from the last intact checkpoint of `run_dir`.

    Raises:
        MiniGPTError: there is no run, or no intact checkpoint in it.
    """
    run = Run(run_dir)
    recipe = Recipe(Config.from_dict(run.manifest["config"]))
    for fault in run.manifest.get("faults", []):
        recipe = recipe.with_fault(fault)
    return Trainer(recipe, run_dir, callbacks, resume=True)
