"""Optional loggers, off by default: TensorBoard and Weights & Biases.

    trainer = Trainer(recipe, run_dir, callbacks=[logger("tensorboard"), logger("wandb")])

Each is a callback that copies every record of the run, after telemetry has completed it. Nothing leaves the
machine: TensorBoard writes files into the run's folder, and Weights & Biases does the same unless WANDB_MODE
says otherwise. `pip install minigpt-break-and-fix[wandb]` installs what a logger needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from minigpt.messages import MiniGPTError, message, nearest

SPIKES = ("loss_spike", "grad_spike")
SEED_000 = {  # series that seed 000 watches, and the figures that they are; memory's are `train/…` already
    "stability/loss_variance": "loss_variance",
    "stability/gradient_percentile_90": "grad_norm_p90",
    "stability/loss_spikes": "loss_spikes",
}


class LoggerError(MiniGPTError):
    """A logger that does not exist, or whose package is not installed."""


def logger(name: str) -> TensorBoardLogger | WandbLogger:
    """Return the callback called `name`: "tensorboard" or "wandb".

    Raises:
        LoggerError: there is no such logger (the nearest is suggested), or its package is not installed.
    """
    if name not in LOGGERS:
        raise LoggerError(
            "loggers.unknown", given=name, known=", ".join(LOGGERS), hint=nearest(name, LOGGERS)
        )
    if find_spec(name) is None:
        raise LoggerError("loggers.not-installed", name=name)
    return LOGGERS[name]()


def scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record by name; `{"lr": {"decay": 0.1}}` gives "lr/decay"."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            yield prefix + name, float(value)


def series(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a record by name, and at an evaluation those that seed 000 watches by its names.

    Its `spike_recoveries` are the times that a guard has taken the run back: see `minigpt.training.state`.
    """
    found = dict(scalars(record))
    watched = {name: found[own] for name, own in SEED_000.items() if own in found}
    if watched:
        watched["stability/spike_recoveries"] = found.get("attempt", 0.0)
    return found | watched


class TensorBoardLogger:
    """Writes event files under `<run>/tensorboard`: `tensorboard --logdir <run>` shows them."""

    def on_start(self, trainer) -> None:
        """Open the event file; a resumed run overwrites what came after its checkpoint."""
        from torch.utils.tensorboard import SummaryWriter

        folder = trainer.writer.path / "tensorboard"
        self._writer = SummaryWriter(str(folder), purge_step=trainer.step or None)

    def on_record(self, trainer, record: dict[str, Any]) -> None:
        """Copy a record."""
        for name, value in series(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def on_end(self, trainer) -> None:
        """Flush and close."""
        self._writer.close()


class WandbLogger:
    """Writes a Weights & Biases run under `<run>/wandb`, with an alert at every spike.

    Offline unless WANDB_MODE=online; `wandb sync <run>/wandb/offline-run-…` uploads it later, if you want.
    """

    def on_start(self, trainer) -> None:
        """Start the run, named after the run's folder."""
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its crash reports would go over the network
        import wandb

        self._run = wandb.init(
            project="minigpt",
            name=trainer.writer.path.name,
            dir=str(trainer.writer.path),
            config=trainer.config.to_dict(),
            settings=wandb.Settings(
                silent=True, console="off", save_code=False, disable_git=True, x_disable_stats=True
            ),
        )

    def on_record(self, trainer, record: dict[str, Any]) -> None:
        """Copy a record, and raise an alert where it tells of a spike."""
        self._run.log(series(record), step=record["step"])
        for kind in SPIKES:
            if kind in record:
                text = message(f"loggers.{kind}", step=record["step"], ratio=record[kind])
                self._run.alert(title=message(f"loggers.{kind}-title"), text=text, level="WARN")

    def on_end(self, trainer) -> None:
        """Finish the run, and wait for the process that writes its file: `finish` alone does not."""
        import wandb

        self._run.finish()
        wandb.teardown()


LOGGERS = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger}
