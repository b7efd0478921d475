"""The monitor as a callback of Lightning's `Trainer`.

watch = StabilityCallback("runs/mine", vocab_size=50257)
Trainer(callbacks=[watch]).fit(module, batches)
walk = watch.check()
print(walk.leaf or walk.verdict)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from minigpt.diagnosis import Walk
from minigpt.monitor import Monitor


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
