"""The training loop: composes the parts of a recipe and writes down what happens.

    run = train(Recipe(Config(steps=200)), run_dir="experiments/first")
    print(run.metrics[-1]["loss"])

A callback is any object with some of the methods `on_start(trainer)`, `on_record(trainer, record)` (before
the record of a step is written: it may add to it), `on_step(trainer, record)` (after) and `on_end(trainer)`.
It watches the loop without changing it, on the main process only. Telemetry is the first one.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from minigpt.config import Config
from minigpt.data.batches import Batch, evaluation_batches
from minigpt.messages import MiniGPTError
from minigpt.model.gpt import parameter_count
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.runs.writer import RunWriter, describe_run
from minigpt.training.allocator import keep_freed_memory
from minigpt.training.callbacks.telemetry import Telemetry
from minigpt.training.distributed import join_world
from minigpt.training.interrupt import Interrupt, Interrupted
from minigpt.training.optim import freeze
from minigpt.training.precision import build_precision, compiled
from minigpt.training.probes import start_probes
from minigpt.training.recipe import Recipe, recipe_of
from minigpt.training.rehearsal import rehearse

CHANGED_BY_A_RESUME = ("started", "versions", "git_sha", "hardware", "device", "processes", "argv")


class NotFiniteError(MiniGPTError):
    """A loss or gradient that is not a number."""


class Trainer:
    """Everything that lives while a run goes on."""

    def __init__(
        self,
        recipe: Recipe,
        run_dir: str | Path,
        callbacks: Iterable[Any] = (),
        resume: bool = False,
        telemetry: bool = True,
    ):
        """Build model and optimizer by the recipe; with `resume`, go on from the newest intact checkpoint.

        Raises:
            MiniGPTError: the device, the data, the run directory or the checkpoint cannot be used.
        """
        self.recipe, self.config, self.resumed = recipe, recipe.config, resume
        self.world = join_world(self.config)
        keep_freed_memory()
        self.run_dir = Path(self.world.share(str(run_dir)))
        watchers = [*([Telemetry()] if telemetry else []), *callbacks]
        self.callbacks = watchers if self.world.main else []
        self.precision = build_precision(self.config, self.world.device_type)
        self.data = recipe.load_data(self.config)
        self.tokens = self.data.train.to(self.world.device)
        self.model = self._build_model()
        self.forward = self.world.wrap(compiled(self.model) if self.config.compile else self.model)
        self.optimizer = recipe.build_optimizer(self.model, self.config)
        self.step = self.saved_step = 0  # steps done, and those in the newest checkpoint
        self.best_val_loss, self.looks_without_better = math.inf, 0
        self.skipped_checkpoints: list[checkpoint.CheckpointError] = []
        if resume:
            self._resume()
        self.writer: RunWriter | None = self.world.on_main(lambda: self._open(resume))
        self._watching: list[Any] = []  # the callbacks that were told of the start

    def _build_model(self) -> torch.nn.Module:
        torch.manual_seed(self.config.seed)
        model = self.recipe.build_model(self.config)
        self.recipe.init_weights(model, self.config)
        if self.config.init_from:
            source, _ = checkpoint.latest(Run(self.config.init_from).path / "checkpoints")
            checkpoint.load_weights(source, model)
        freeze(model, self.config)
        if not parameter_count(model):
            raise MiniGPTError("train.nothing-to-train", freeze=self.config.freeze)
        return model.to(self.world.device)

    def _resume(self) -> None:
        run = Run(self.run_dir)
        refuse_changes(run.config, self.config)
        if run.manifest["data"]["sha256"] != self.data.hashes:
            raise MiniGPTError("train.other-data", path=self.run_dir, name=self.data.name)
        folder = self.run_dir / "checkpoints"
        if not checkpoint.find(folder):
            return  # the run ended before its first checkpoint: step 0 comes again, and is the same
        source, self.skipped_checkpoints = checkpoint.latest(folder)
        state = checkpoint.load(source, self.model, self.optimizer)
        self.step = self.saved_step = state["step"]
        self.best_val_loss = float(state["best_val_loss"])
        self.looks_without_better = state["looks_without_better"]
        if state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])

    def _open(self, resume: bool) -> RunWriter:
        """Return the writer of a folder that says what run it holds, with no record of a step yet to come."""
        writer = RunWriter(self.run_dir, resume)
        description = describe_run(
            self.config,
            faults=list(self.recipe.faults),
            own_parts=self.recipe.own_parts,
            data={"name": self.data.name, "sha256": self.data.hashes},
            parameters=parameter_count(self.model),
            device=self.world.device,
            processes=self.world.size,
            starts_from=self.config.init_from,
        )
        if resume:
            again = {name: description[name] for name in CHANGED_BY_A_RESUME}
            description = Run(self.run_dir).manifest
            description["resumed"] = [*description.get("resumed", []), {"step": self.step} | again]
            writer.rewind(self.step)
        writer.manifest(description)
        writer.tokenizer(self.data.tokenizer)
        return writer

    def run(self) -> Run:
        """Train to the last step. Ctrl-C (or a termination signal) finishes the step, saves and then stops.

        Raises:
            Interrupted: the run was interrupted and saved; `resume` goes on with it.
            NotFiniteError: a loss or gradient was not a number, and the config says to stop.
        """
        try:
            self.world.on_main(self._start)
            with Interrupt(patient=self.world.size > 1) as interrupt:
                while self.step < self.config.steps and not self.stops_early:
                    self._advance()
                    if self.world.any(interrupt.asked):
                        if self.saved_step < self.step:
                            self.save()
                        raise Interrupted
        finally:
            try:
                self._tell("on_end")
            finally:
                if self.writer:
                    self.writer.close()
        return Run(self.run_dir)

    def _start(self) -> None:
        if self.step == 0:
            batch = self._batch(0)
            evidence = start_probes(self.model, self.recipe.loss, batch)
            evidence |= self.data.overlap
            self.writer.probe({"step": 0, "kind": "start"} | evidence)
            rehearsed = rehearse(self.recipe, self.model, self.optimizer, batch)
            self.writer.probe({"step": 0, "kind": "rehearsal"} | rehearsed)
        for callback in self.callbacks:
            self._tell_one(callback, "on_start")
            self._watching.append(callback)

    @property
    def stops_early(self) -> bool:
        """Whether `patience` looks at the validation loss went by without a better one."""
        return 0 < self.config.patience <= self.looks_without_better

    def _advance(self) -> None:
        """Take one step, and everything that is due after it."""
        record = self._one_step(self.step)
        self.step += 1
        if self._due(self.config.eval_every):
            record["val_loss"] = self.evaluate()
            better = record["val_loss"] < self.best_val_loss
            self.best_val_loss = min(record["val_loss"], self.best_val_loss)
            self.looks_without_better = 0 if better else self.looks_without_better + 1
        self.world.on_main(lambda: self._log(record))
        if self._due(self.config.checkpoint_every) or self.stops_early:
            self.save()

    def _log(self, record: dict[str, Any]) -> None:
        self._tell("on_record", record)
        self.writer.metric(record)
        if self.step > record["step"]:  # or else it was not taken: its loss was no number
            self._tell("on_step", record)

    def _one_step(self, step: int) -> dict[str, Any]:
        recipe, config = self.recipe, self.config
        started = time.perf_counter()
        batches = [self._batch(step, micro) for micro in range(config.accumulation)]
        recipe.seed_step(config, step, self.world.rank)
        loss = recipe.accumulate(self.forward, recipe.loss, batches, self.precision, self.world)
        norm = recipe.clip(self.model, self.optimizer, self.precision, config.clip_norm)
        record = {
            "step": step,
            "loss": loss,
            "grad_norm": norm,
            "clipped": norm > config.clip_norm,
            "tokens": config.accumulation * config.batch_size * config.context,
        }
        # An fp16 gradient overflows now and then: the update is skipped, the scale falls. A loss never may.
        scaler = self.precision.scaler
        overflowed = scaler.is_enabled() and not math.isfinite(norm)
        if config.stop_on_non_finite and not math.isfinite(loss if overflowed else loss + norm):
            self.world.on_main(lambda: self._log(record))
            raise NotFiniteError("train.not-finite", step=step, loss=loss, grad_norm=norm, path=self.run_dir)
        if scaler.is_enabled():
            record |= {"scale": scaler.get_scale(), "skipped": overflowed}
        recipe.step(self.optimizer, self.precision, recipe.lr_at(step, config))
        record["lr"] = {group["name"]: group["lr"] for group in self.optimizer.param_groups}
        record["seconds"] = round(time.perf_counter() - started, 6)
        return record

    def _batch(self, step: int, micro: int = 0) -> Batch:
        return self.recipe.get_batch(self.tokens, self.config, step, micro, self.world.rank, self.world.size)

    def _due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the mean loss on the validation side, in nats per token."""
        self.model.eval()
        total, count = 0.0, 0
        tokens = self.data.validation.to(self.world.device)
        for batch in evaluation_batches(tokens, self.config, self.world.rank, self.world.size):
            counted = int(batch.mask.sum())
            with self.precision.autocast():
                loss = self.recipe.loss(self.model(batch.inputs), batch.targets, batch.mask)
            total += loss.item() * counted
            count += counted
        self.model.train()
        total, count = self.world.sum(total, count)
        return total / max(count, 1)

    def save(self) -> None:
        """Write a checkpoint of the steps done so far, and let go of the oldest."""
        state = {
            "step": self.step,
            "best_val_loss": self.best_val_loss,
            "looks_without_better": self.looks_without_better,
            "scaler": self.precision.scaler.state_dict(),
        }
        self.world.on_main(lambda: self._write_checkpoint(state))
        self.saved_step = self.step

    def _write_checkpoint(self, state: dict[str, Any]) -> None:
        self.writer.sync()  # no checkpoint is ever ahead of the logs
        folder = self.run_dir / "checkpoints"
        checkpoint.save(folder, self.model, self.optimizer, state, self.config.keep_checkpoints)

    def _tell(self, event: str, *arguments: Any) -> None:
        for callback in self._watching:
            self._tell_one(callback, event, *arguments)

    def _tell_one(self, callback: Any, event: str, *arguments: Any) -> None:
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


def resume(
    run_dir: str | Path, callbacks: Iterable[Any] = (), asked: dict[str, Any] | None = None
) -> Trainer:
    """Return a trainer that goes on from the newest intact checkpoint of `run_dir`; without any, from step 0.

    Args:
        asked: settings that somebody expects the run to have.

    Raises:
        MiniGPTError: there is no run, its config differs from what is asked, its recipe is not all on disk,
            its text has changed, or none of its checkpoints is intact.
    """
    run = Run(run_dir)
    if run.config is None:
        raise MiniGPTError("monitor.not-ours", path=run_dir)
    refuse_changes(run.config, run.config.replace(**asked or {}))
    if parts := run.manifest.get("own_parts"):
        raise MiniGPTError("train.own-parts", path=run_dir, parts=", ".join(parts))
    return Trainer(recipe_of(run), run_dir, callbacks, resume=True)


def refuse_changes(was: Config, asked: Config) -> None:
    """Refuse to resume a run under another config: the result would be neither the one run nor the other.

    Raises:
        MiniGPTError: names the first setting that differs.
    """
    for name, value in asked.to_dict().items():
        if value != getattr(was, name):
            raise MiniGPTError("train.resume-changes", name=name, asked=value, was=getattr(was, name))
