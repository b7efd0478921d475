"""The monitor, and the guards that recover, as callbacks of Hugging Face's `Trainer`.

    watch = StabilityCallback("runs/mine")
    trainer = Trainer(model, arguments, train_dataset=data, callbacks=[watch])
    recovery = RecoveryCallback(trainer)  # adds itself
    trainer.train()
    walk = watch.check()
    print(walk.leaf or walk.verdict, recovery.decisions)

The schedule asked for is built from the trainer's own arguments, so a scheduler that somebody steps too often
or never is found. A schedule of one's own is given as `schedule`.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, get_scheduler

from minigpt.diagnosis import Walk
from minigpt.monitor import Monitor
from minigpt.monitor.integrations.held import Held, gradient_norm
from minigpt.training.guards import GuardError

FRAMES = 12  # between a callback and the trainer's loop, at most


class StabilityCallback(TrainerCallback):
    """Watches a `Trainer`; what it saw lies in `run_dir`."""

    def __init__(
        self,
        run_dir: str | Path,
        schedule: Callable[[int], float] | None = None,
        vocab_size: int | None = None,
        **settings: Any,
    ):
        """Prepare to watch.

        Args:
            schedule: the learning rate asked for by optimizer step; the default is that of the trainer's
                arguments.
            vocab_size: tokens in the vocabulary; the default is the model's own.
            settings: further arguments of `Monitor`, such as `frozen` or `starts_from`.
        """
        self._run_dir, self._schedule, self._vocab_size = run_dir, schedule, vocab_size
        self._settings = settings
        self.monitor: Monitor | None = None

    def check(self, whole: bool = False) -> Walk:
        """Walk the stability check over what was seen so far."""
        return self.monitor.check(whole)

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **_more):
        """Set the hooks; weights, optimizer and schedule are all built by now."""
        bare = getattr(optimizer, "optimizer", optimizer)  # behind accelerate's
        self.monitor = Monitor(
            model,
            bare,
            vocab_size=self._vocab_size or model.config.vocab_size,
            run_dir=self._run_dir,
            schedule=self._schedule or _asked(args, state, bare),
            **{"scaler": getattr(optimizer, "scaler", None)} | self._settings,
        )
        self.monitor.__enter__()

    def on_substep_end(self, args, state, control, **_more):
        """Note the loss of a micro-batch."""
        self._note_loss()

    def on_step_end(self, args, state, control, **_more):
        """Note the loss of the last micro-batch of a step."""
        self._note_loss()

    def _note_loss(self) -> None:
        self.monitor.step(None if self.monitor.sees_loss else _loss_of_the_trainer())

    def on_evaluate(self, args, state, control, metrics=None, **_more):
        """Note the validation loss."""
        if metrics and "eval_loss" in metrics and self.monitor:
            self.monitor.note(val_loss=metrics["eval_loss"])

    def on_train_end(self, args, state, control, **_more):
        """Take the hooks away."""
        self.monitor.__exit__(None, None, None)


def _loss_of_the_trainer() -> torch.Tensor | None:
    """Return the loss that the trainer has just learnt from, where `compute_loss` is the user's own.

    It tells no callback of it, so it is looked up where the trainer keeps it: in the loop that calls us.
    """
    frame = sys._getframe(1)
    for _ in range(FRAMES):
        if frame is None:
            return None
        if isinstance(found := frame.f_locals.get("tr_loss_step"), torch.Tensor):
            return found
        frame = frame.f_back
    return None


class RecoveryCallback(TrainerCallback):
    """Leaves bad batches out of a `Trainer`'s run and rolls damaged weights back, as `Recovery` does.

    The run is, bit for bit, the one that never saw those batches, within one pass over data that draws
    nothing from the global random states. The trainer counts the updates that stay; where its data end
    before them, it begins them once more.
    """

    def __init__(self, trainer: Trainer, **settings: Any):
        """Add itself to `trainer`, before `trainer.train()`.

        Args:
            settings: `every`, `keep`, `z` and `rollbacks` of `minigpt.monitor.recovery.Recovery`.
        """
        self._trainer, self._settings = trainer, settings
        self._held: Held | None = None
        self._sources: list[Any] = []  # iterators over the data, one a pass, the oldest first
        self._losses: list[float] = []  # of the micro-batches of this step
        self._first = 0  # updates done before this run
        self._norm = 0.0
        self._training_step, self._draw = trainer.training_step, trainer.get_batch_samples
        self._counts = trainer.set_initial_training_values
        trainer.training_step = self._watched_step
        trainer.get_batch_samples = self._window
        trainer.set_initial_training_values = self._one_pass_more
        trainer.add_callback(self)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """What was undone, in order: step, batch, loss, gradient norm and what was done."""
        return self._held.recovery.decisions if self._held else []

    def on_train_begin(self, args, state, control, model=None, optimizer=None, lr_scheduler=None, **_more):
        """Begin to keep copies; weights, optimizer and schedule are all built by now."""
        if self._trainer.is_fsdp_enabled or self._trainer.is_deepspeed_enabled:
            raise GuardError("guards.sharded")
        bare = getattr(optimizer, "optimizer", optimizer)  # behind accelerate's
        scaler = getattr(optimizer, "scaler", None)
        self._held = Held(model, bare, [lr_scheduler], scaler, self._settings)
        self._first, self._sources = state.global_step, []

    def on_step_begin(self, args, state, control, **_more):
        """Take a copy if one is due; the batches of this step are drawn already."""
        self._losses = []
        self._held.begin()

    def on_pre_optimizer_step(self, args, state, control, **_more):
        """Ask the guards, and leave the trainer nothing to update with if they undo the step."""
        self._held.step(sum(self._losses), self._norm)

    def on_optimizer_step(self, args, state, control, **_more):
        """Let the trainer count the updates that stay; it adds one next."""
        state.global_step = self._first + self._held.recovery.state.step - 1

    def on_step_end(self, args, state, control, **_more):
        """Put the schedule back after an undone step, which is neither logged nor saved."""
        if self._held.put_back():
            control.should_log = control.should_evaluate = control.should_save = False

    def _watched_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Train on a micro-batch and note its share of the loss, and at the last one the gradient norm."""
        loss = self._training_step(model, inputs, num_items_in_batch)
        self._losses.append(loss.item())
        if len(self._losses) == len(self._held.windows[self._held.number][0]):
            self._norm = gradient_norm(model, self._trainer.accelerator.scaler)
        return loss

    def _window(self, iterator: Any, size: int, device: Any) -> tuple[list[Any], Any]:
        """Return the micro-batches of the next step: those of a step to repeat, or new ones."""
        kept = self._held.windows.get(self._held.number)
        if kept:
            return kept if len(kept[0]) == size else ([], None)  # at the short end of a pass: after it
        if all(iterator is not source for source in self._sources):
            self._sources.append(iterator)
        while True:  # a pass before this one may have batches left
            found = self._draw(self._sources[0], size, device)
            if len(found[0]) == size or len(self._sources) == 1:
                break
            del self._sources[0]
        if found[0]:
            self._held.windows[self._held.number] = found
        return found

    def _one_pass_more(self, *arguments: Any, **named: Any) -> tuple:
        """Let the trainer go on until its updates are done; undone steps use up its passes."""
        passes, *rest = self._counts(*arguments, **named)
        return (passes + 1, *rest)


def _asked(args: Any, state: Any, optimizer: Any) -> Callable[[int], float] | None:
    """Return the schedule of the trainer's arguments, or None where it depends on more than the step."""
    twin = copy.copy(optimizer)  # a schedule that is never stepped, on groups of its own
    twin.param_groups = [
        {name: value for name, value in group.items() if name != "initial_lr"} | {"lr": args.learning_rate}
        for group in optimizer.param_groups
    ]
    schedule = get_scheduler(
        args.lr_scheduler_type,
        twin,
        num_warmup_steps=args.get_warmup_steps(state.max_steps),
        num_training_steps=state.max_steps,
        scheduler_specific_kwargs=getattr(args, "lr_scheduler_kwargs", None) or {},
    )
    lambdas = getattr(schedule, "lr_lambdas", None)
    return (lambda step: args.learning_rate * lambdas[0](step)) if lambdas else None
