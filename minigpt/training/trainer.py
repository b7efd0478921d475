"""The training loop: composes the parts of a recipe and writes down what happens.

    run = train(Recipe(Config(steps=200)), run_dir="experiments/first")
    print(run.metrics[-1]["loss"])

A callback is any object with some of the methods `on_start(trainer)`, `on_record(trainer, record)` (before
the record of a step is written: it may add to it), `on_step(trainer, record)` (after) and `on_end(trainer)`,
and `before_writes(trainer)` and `after_writes(trainer)` around declared writes beside the optimizer's.
It watches the loop without changing it, on the main process only. Telemetry is the first one. What may change
the run is a guard (`minigpt.training.guards`), which is a part of the recipe.
"""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minigpt.data.batches import Batch
from minigpt.messages import MiniGPTError
from minigpt.model.gpt import parameter_count
from minigpt.model.kernels import Kernels, use_kernels
from minigpt.model.state import commit_memory, has_memory
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.runs.writer import RunWriter, require_unlocked
from minigpt.training.allocator import keep_freed_memory
from minigpt.training.callbacks.memory import MemoryWatch
from minigpt.training.callbacks.post_mortem import PostMortem
from minigpt.training.callbacks.telemetry import telemetry_unless
from minigpt.training.continual import Continual, is_last_of_task
from minigpt.training.distributed import join_world
from minigpt.training.evaluation import validation_loss
from minigpt.training.first_look import first_look
from minigpt.training.fit import refuse_misfit
from minigpt.training.guards.enforcer import Enforcer
from minigpt.training.guards.guard import Decision
from minigpt.training.guards.token_cost import TokenCost
from minigpt.training.instruments.panel import Instruments
from minigpt.training.interrupt import Interrupt, Interrupted
from minigpt.training.kernel_cache import kernels_for
from minigpt.training.optim import freeze
from minigpt.training.precision import compiled
from minigpt.training.probes import start_probes
from minigpt.training.recipe import Recipe, recipe_of
from minigpt.training.rehearsal import rehearse
from minigpt.training.saving import load_newest, open_folder, refuse_changes, write_checkpoint
from minigpt.training.snapshots import Snapshots
from minigpt.training.state import Stateful, TrainerState, is_stateful
from minigpt.training.step import drop


class NotFiniteError(MiniGPTError):
    """A loss or gradient that is not a number."""


class Trainer:
    """Everything that lives during a run."""

    def __init__(
        self,
        recipe: Recipe,
        run_dir: str | Path,
        callbacks: Iterable[Any] = (),
        resume: bool = False,
        telemetry: bool = True,
    ):
        """Build model and optimizer by the recipe; with `resume`, continue from the newest intact checkpoint.

        Raises:
            MiniGPTError: the device, the data, the run directory or the checkpoint cannot be used.
        """
        self.recipe, self.config, self.resumed = recipe, recipe.config, resume
        if not resume:
            recipe.refuse_idle()
        self.world = join_world(self.config)
        keep_freed_memory()
        self.run_dir = Path(self.world.share(str(run_dir)))
        watchers = list(callbacks)
        if telemetry:
            watchers = [*telemetry_unless(watchers), MemoryWatch(), Instruments(), *watchers]
        watchers += [PostMortem()] if recipe.all_guards else []
        self.callbacks = watchers if self.world.main else []
        self.precision = recipe.build_precision(self.config, self.world.device_type)
        # copies, so that what they remember is this run's alone
        self.clip, self.guards = copy.deepcopy(recipe.clipper), copy.deepcopy(recipe.all_guards)
        self.data = recipe.load_data(self.config)
        self.tokens = self.data.train.to(self.world.device)
        self.model = self._build_model()
        self._remembers = has_memory(self.model)
        tasks, device = self.data.tasks, self.world.device
        self.continual = Continual(self.model, tasks, self.config, device) if tasks else None
        self.plasticity = recipe.build_plasticity(self.model, self.config)
        if self.plasticity and self.world.size > 1:
            raise MiniGPTError("train.plasticity-alone", processes=self.world.size)
        self.kernels = self._choose_kernels()
        use_kernels(self.model, self.kernels)
        self.forward = self.world.wrap(compiled(self.model) if self.config.compile else self.model)
        self.optimizer = recipe.build_optimizer(self.model, self.config)
        self.state = TrainerState(parts=self._stateful_parts())
        checkpoints = self.run_dir / "checkpoints"
        self.snapshots = Snapshots(self.config.snapshot_every, self.config.snapshots, checkpoints)
        self.enforcer = Enforcer(
            self.guards,
            self.snapshots,
            self.world,
            self.model,
            self.optimizer,
            self.state,
            write=lambda event: self.writer.event(event),
            token_cost=TokenCost.wanted_by(self.guards, self.tokens, self.config.vocab_size),
        )
        records, self.skipped_checkpoints = load_newest(self) if resume else (None, [])
        self.saved_step = self.step  # steps done in the newest checkpoint
        self.writer: RunWriter | None = self.world.on_main(lambda: open_folder(self, records))
        self._watching: list[Any] = []  # the callbacks that were told of the start

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.state.step

    def _stateful_parts(self) -> dict[str, Stateful]:
        """Return the parts that remember something from step to step, by the name in the checkpoint."""
        found = {"scaler": self.precision.scaler, "clip": self.clip}
        found |= {f"guard:{guard.name}": guard for guard in self.guards}
        return {name: part for name, part in found.items() if is_stateful(part)}

    @property
    def untouched(self) -> bool:
        """Whether no step was tried yet."""
        return self.step == 0 and not self.state.attempt

    def _build_model(self) -> torch.nn.Module:
        torch.manual_seed(self.config.seed)
        model = self.recipe.build_model(self.config)
        self.recipe.init_weights(model, self.config)
        if self.config.init_from:
            source, _ = checkpoint.latest(Run(self.config.init_from).path / "checkpoints")
            checkpoint.load_model(source, model)
        freeze(model, self.config)
        if not parameter_count(model):
            raise MiniGPTError("train.nothing-to-train", freeze=self.config.freeze)
        return model.to(self.world.device)

    def _choose_kernels(self) -> Kernels:
        """Return the kernels of the model: a resumed run's own, else the same on every process."""
        recorded = Run(self.run_dir).manifest.get("kernels") if self.resumed else None
        return self.world.share(
            self.world.on_main(lambda: kernels_for(self.config, self.model, self.world.device_type, recorded))
        )

    def run(self) -> Run:
        """Train to the last step. Ctrl-C (or a termination signal) finishes the step, saves and then stops.

        Raises:
            Interrupted: the run was interrupted and saved; `resume` continues it.
            NotFiniteError: a loss or gradient was not a number, the config says to stop, and no guard
                undid the step.
            GuardError: guards contradict each other, or ask for something impossible.
        """
        try:
            self.world.on_main(self._start)
            with Interrupt(patient=self.world.size > 1) as interrupt:
                while self.step < self.config.steps and not self.stops_early:
                    self._advance()
                    if self.world.any(interrupt.asked):
                        if self.saved_step != self.step:
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
        if self.untouched:
            batch = self.batch(0)
            refuse_misfit(self.model, self.recipe.loss, batch)
            evidence = start_probes(self.model, self.recipe.loss, batch)
            evidence |= self.data.overlap
            self.writer.probe({"step": 0, "kind": "start"} | evidence)
            config = self.config
            looked = first_look(self.model, self.optimizer, self.batch, config.steps, config.accumulation)
            self.writer.probe({"step": 0, "kind": "observed"} | looked)
            by_chance = "restless" in looked.get("later", {})
            rehearsed = rehearse(self.recipe, self.model, self.optimizer, batch, by_chance)
            self.writer.probe({"step": 0, "kind": "rehearsal"} | rehearsed)
        for callback in self.callbacks:
            self._tell_one(callback, "on_start")
            self._watching.append(callback)

    @property
    def stops_early(self) -> bool:
        """Whether `patience` evaluations went by without a better validation loss."""
        return 0 < self.config.patience <= self.state.evaluations_without_better

    def _advance(self) -> None:
        """Try one step, and do everything that is due after it."""
        self.enforcer.before_step()
        record, decision = self._one_step()
        if not decision.undoes:
            data_step = self.state.data_step
            self.state.advance()
            task_ends = bool(self.continual) and is_last_of_task(self.step, self.config)
            if task_ends:
                self.continual.settle(self.model, self.recipe.loss, data_step)
            if task_ends or self._due(self.config.eval_every):
                record |= self._evaluated()
                self.state.compare(record["val_loss"])
        self.world.on_main(lambda: self._log(record))
        if not decision.undoes:
            decision = self.enforcer.decide("record", record)
        if decision.undoes:
            self.enforcer.set_out_again(decision, record)
        elif self._due(self.config.checkpoint_every) or self.stops_early:
            self.save()

    def _log(self, record: dict[str, Any]) -> None:
        self._tell("on_record", record)
        self.writer.metric(record)
        if self.step > record["step"]:  # or else the step was not taken
            self._tell("on_step", record)

    def _one_step(self) -> tuple[dict[str, Any], Decision]:
        """Try the next step: return its record, and what the guards say of its gradients."""
        recipe, config, step, data_step = self.recipe, self.config, self.step, self.state.data_step
        started = time.perf_counter()
        batches = [self.batch(data_step, micro) for micro in range(config.accumulation)]
        recipe.seed_step(config, step, self.world.rank)
        loss = recipe.accumulate(self.forward, recipe.loss, batches, self.precision, self.world)
        if self.continual:
            self.continual.add_gradients(self.model, self.precision.scaler.get_scale())
        norm = self.clip(self.model, self.optimizer, self.precision, config.clip_norm)
        record = {
            "step": step,
            "loss": loss,
            "grad_norm": norm,
            "clipped": norm > config.clip_norm,
            "tokens": config.accumulation * config.batch_size * config.context,
        } | self._after_a_decision()
        rate = recipe.lr_at(step, config)
        known = record | {"rate": rate * self.state.lr_scale}
        decision = self.enforcer.decide("gradients", known, batches)
        if decision.undoes:
            drop(self.optimizer, self.precision)
            self.enforcer.forget_step()
            if self.plasticity:
                self.plasticity.forget()
            return record | {"dropped": True}, decision
        # An fp16 gradient overflows now and then: the update is skipped, the scale falls. A loss never may.
        scaler = self.precision.scaler
        overflowed = scaler.is_enabled() and not math.isfinite(norm)
        if config.stop_on_non_finite and not math.isfinite(loss if overflowed else loss + norm):
            self.world.on_main(lambda: self._log(record))
            raise NotFiniteError("train.not-finite", step=step, loss=loss, grad_norm=norm, path=self.run_dir)
        if scaler.is_enabled():
            record |= {"scale": scaler.get_scale(), "skipped": overflowed}
        recipe.step(self.optimizer, self.precision, rate * self.state.lr_scale * decision.scale_step)
        if self.plasticity:
            self._tell("before_writes")
            record["plasticity"] = self.plasticity.write()
            self._tell("after_writes")
        if self._remembers:
            commit_memory(self.model, step, self.world.rows)
        record["lr"] = {group["name"]: group["lr"] for group in self.optimizer.param_groups}
        record["seconds"] = round(time.perf_counter() - started, 6)
        return record, decision

    def _after_a_decision(self) -> dict[str, Any]:
        """Return what a record says beside the usual once a guard has acted."""
        state, usual = self.state, TrainerState()
        found = {"attempt": state.attempt, "lr_scale": state.lr_scale}
        found = {name: value for name, value in found.items() if value != getattr(usual, name)}
        return found | ({"data_step": state.data_step} if state.data_offset else {})

    def batch(self, data_step: int, micro: int = 0) -> Batch:
        """Return a micro-batch of this process, (B, T), as the run trains on it: a function of its place."""
        place = (data_step, micro, self.world.rank, self.world.size)
        if self.continual:
            return self.continual.batches.batch(self.recipe.get_batch, *place)
        return self.recipe.get_batch(self.tokens, self.config, *place)

    def _due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def evaluate(self, tokens: Tensor | None = None) -> float:
        """Return the mean loss on the validation side, or on other token ids (M,), in nats per token."""
        tokens, loss = self.data.validation if tokens is None else tokens, self.recipe.loss
        return validation_loss(self.model, loss, tokens, self.config, self.precision, self.world)

    def _evaluated(self) -> dict[str, Any]:
        """Return what an evaluation adds to a record; of several tasks, `val_loss` is the current one's."""
        if not self.continual:
            return {"val_loss": self.evaluate()}
        losses = {task.name: self.evaluate(task.validation) for task in self.continual.tasks}
        return {"val_loss": losses[self.continual.task(self.step - 1).name], "tasks": losses}

    def save(self) -> None:
        """Write a checkpoint of the steps done so far, and delete the oldest."""
        self.world.on_main(lambda: write_checkpoint(self))
        self.saved_step = self.step

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

    Raises:
        RunError: there is a run already, or another process is still writing to it.
    """
    if overwrite and (Path(run_dir) / "manifest.json").is_file():
        require_unlocked(Path(run_dir))
        shutil.rmtree(run_dir)
    return Trainer(recipe, run_dir, callbacks).run()


def resume(
    run_dir: str | Path, callbacks: Iterable[Any] = (), asked: dict[str, Any] | None = None
) -> Trainer:
    """Return a trainer that continues from the newest intact checkpoint of `run_dir`, or else from step 0.

    Args:
        asked: settings that somebody expects the run to have.

    Raises:
        MiniGPTError: there is no run, its config differs from what is asked, its recipe is not all on disk,
            its text has changed, or none of its checkpoints is intact.
    """
    run = Run(run_dir)
    if run.config is None:
        raise MiniGPTError("monitor.external-run", path=run_dir)
    refuse_changes(run.config, run.config.replace(**asked or {}))
    if parts := run.manifest.get("own_parts"):
        raise MiniGPTError("train.own-parts", path=run_dir, parts=", ".join(parts))
    return Trainer(recipe_of(run), run_dir, callbacks, resume=True)
