"""The monitor as a callback of Hugging Face's `Trainer`.

    watch = StabilityCallback("runs/mine")
    Trainer(model, arguments, train_dataset=data, callbacks=[watch]).train()
    walk = watch.check()
    print(walk.leaf or walk.verdict)

The schedule asked for is built from the trainer's own arguments, so a scheduler that somebody steps too often
or never is found. A schedule of one's own is given as `schedule`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, get_scheduler

from minigpt.diagnosis import Walk
from minigpt.monitor import Monitor


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
        self.monitor.step()

    def on_step_end(self, args, state, control, **_more):
        """Note the loss of the last micro-batch of a step."""
        self.monitor.step()

    def on_evaluate(self, args, state, control, metrics=None, **_more):
        """Note the validation loss."""
        if metrics and "eval_loss" in metrics and self.monitor:
            self.monitor.note(val_loss=metrics["eval_loss"])

    def on_train_end(self, args, state, control, **_more):
        """Take the hooks away."""
        self.monitor.__exit__(None, None, None)


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
