"""The monitor, and the guards that recover, as callbacks of Lightning's `Trainer`.

watch, recovery = StabilityCallback("runs/mine", vocab_size=50257), RecoveryCallback()
Trainer(callbacks=[watch, recovery]).fit(module, batches)
walk = watch.check()
print(walk.leaf or walk.verdict, recovery.decisions)
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from minigpt.diagnosis import Walk
from minigpt.monitor import Monitor
from minigpt.monitor.integrations.held import Held, gradient_norm
from minigpt.training.guards import GuardError

SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)


class StabilityCallback(Callback):
    """Watches a `Trainer`, of several optimizers the first; what it saw lies in `run_dir`."""

    def __init__(self, run_dir: str | Path, vocab_size: int, **settings: Any):
        """Prepare to watch.

        Args:
            vocab_size: tokens in the vocabulary.
            settings: further arguments of `Monitor`, such as `schedule`, `frozen` or `starts_from`.
        """
        self._run_dir, self._vocab_size, self._settings = run_dir, vocab_size, settings
        self.monitor: Monitor | None = None

    def check(self, whole: bool = False) -> Walk:
        """Walk the stability check over what was seen so far."""
        return self.monitor.check(whole)

    def on_train_start(self, trainer, pl_module):
        """Set the hooks; the optimizer is built by now."""
        self.monitor = Monitor(
            pl_module,
            trainer.optimizers[0],
            vocab_size=self._vocab_size,
            run_dir=self._run_dir,
            **{"scaler": getattr(trainer.precision_plugin, "scaler", None)} | self._settings,
        )
        self.monitor.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Note the loss of a micro-batch."""
        self.monitor.step(outputs["loss"] if isinstance(outputs, dict) else outputs)

    def on_validation_end(self, trainer, pl_module):
        """Note the validation loss, where the module logs one as `val_loss`."""
        if self.monitor and "val_loss" in trainer.callback_metrics and not trainer.sanity_checking:
            self.monitor.note(val_loss=float(trainer.callback_metrics["val_loss"]))

    def on_train_end(self, trainer, pl_module):
        """Take the hooks away."""
        self.monitor.__exit__(None, None, None)

    def on_exception(self, trainer, pl_module, exception):
        """Take the hooks away."""
        if self.monitor:
            self.monitor.__exit__(type(exception), exception, exception.__traceback__)


class RecoveryCallback(Callback):
    """Leaves bad batches out of a run and rolls damaged weights back, as `Recovery` does.

    The run is, bit for bit, the one that never saw those batches, within one epoch of data that draw nothing
    from the global random states. The trainer counts the updates that stay: with `max_steps` the run ends
    after that many, with `max_epochs` each undone step leaves one batch of the epoch for the next.
    """

    def __init__(self, **settings: Any):
        """Prepare; `settings` are `every`, `keep`, `z` and `rollbacks` of `Recovery`."""
        self._settings = settings
        self._held: Held | None = None
        self._batches: list[Any] = []  # of this step
        self._fresh: deque[Any] = deque()  # drawn while others were given again
        self._loss = 0.0
        self._first = 0  # updates done before this run

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """What was undone, in order: step, batch, loss, gradient norm and what was done."""
        return self._held.recovery.decisions if self._held else []

    def on_train_start(self, trainer, pl_module):
        """Begin to keep copies, and stand between the loader and the module."""
        if not pl_module.automatic_optimization or len(trainer.optimizers) != 1:
            raise GuardError("guards.own-optimization")
        if isinstance(trainer.strategy, SHARDED):
            raise GuardError("guards.sharded")
        schedulers = [each.scheduler for each in trainer.lr_scheduler_configs if each.interval == "step"]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._held = Held(pl_module, trainer.optimizers[0], schedulers, scaler, self._settings)
        self._first, self._scaler = trainer.global_step, scaler
        self._batches, self._fresh = [], deque()
        to_device = trainer.strategy.batch_to_device

        def batch_to_device(batch: Any, *arguments: Any, **named: Any) -> Any:
            return to_device(self._instead_of(batch) if trainer.training else batch, *arguments, **named)

        trainer.strategy.batch_to_device = batch_to_device

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Take a copy if one is due, before the first micro-batch of a step."""
        if len(self._batches) == 1:
            self._loss = 0.0
            self._held.begin()

    def on_before_backward(self, trainer, pl_module, loss):
        """Note a micro-batch's share of the loss."""
        self._loss += loss.item() / (self._scaler.get_scale() if self._scaler is not None else 1)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        """Ask the guards, and leave the trainer nothing to update with if they undo the step."""
        self._held.windows[self._held.number], self._batches = self._batches, []
        self._held.step(self._loss, gradient_norm(pl_module))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """After a step, put the schedule back if it was undone, and count the updates that stay."""
        if not self._batches:
            self._held.put_back()
            done = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
            done.ready = done.completed = self._first + self._held.recovery.state.step

    def on_train_end(self, trainer, pl_module):
        """Step aside."""
        vars(trainer.strategy).pop("batch_to_device", None)

    def on_exception(self, trainer, pl_module, exception):
        """Step aside."""
        self.on_train_end(trainer, pl_module)

    def _instead_of(self, batch: Any) -> Any:
        """Return the micro-batch to train on when the loader gives `batch`: the same, or one to repeat."""
        self._fresh.append(batch)
        kept = self._held.windows.get(self._held.number, [])
        at = len(self._batches)
        self._batches.append(kept[at] if at < len(kept) else self._fresh.popleft())
        return self._batches[-1]
