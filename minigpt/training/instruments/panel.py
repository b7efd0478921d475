"""The instruments of a run: a callback that takes each at the spacing its config sets.

A trainer adds it by itself, like telemetry. It watches on the main process, writes to `probes.jsonl`, and
leaves the run bit for bit as it was.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch

from minigpt.config import Config
from minigpt.data.batches import Batch, windows
from minigpt.training.instruments.attention import AttentionReader
from minigpt.training.instruments.logits import of_logits
from minigpt.training.instruments.noise import noise_scale, pieces
from minigpt.training.instruments.non_finite import first_non_finite
from minigpt.training.instruments.ownership import Ownership
from minigpt.training.instruments.quiet import quietly
from minigpt.training.instruments.sharpness import sharpness
from minigpt.training.instruments.statefulness import statefulness
from minigpt.training.instruments.units import UnitsReader
from minigpt.training.instruments.updates import UpdateSizes

WINDOWS = 4  # validation windows that the model is read on
EARLY = (3, 20)  # steps done at which it is read, too
EARLY_NOISE = (20, 100)  # and at which the gradient noise is measured
FEWEST = 20  # steps after which a tensor without a gradient is worth a word
OFTEN, LATER = 5, 2  # updates and checksums are taken so many times for each reading of the model, at first
AT_FIRST = 2  # readings; three looks that agree are then there after 30 steps, later after 75


class Instruments:
    """The callback."""

    def on_start(self, trainer) -> None:
        """Choose the windows, and put hooks on the optimizer."""
        config, data = trainer.config, trainer.data
        self.every = config.instruments_every
        self._handles: list[Any] = []
        if not self.every:
            return
        starts = torch.linspace(0, len(data.validation) - config.context - 1, 2 * WINDOWS).long()
        cut = windows(data.validation, starts, config.context).inputs.to(trainer.world.device)
        self._inputs, self._others = cut[::2], cut[1::2]  # (WINDOWS, T) each
        self._attempt = trainer.state.attempt
        self.updates = UpdateSizes(trainer.model, trainer.optimizer)
        self.owners = Ownership(trainer.model, trainer.optimizer)
        self._handles = [self.updates, self.owners]
        self._ask_for_next(trainer.step)

    def on_end(self, trainer) -> None:
        """Take the hooks away."""
        for handle in getattr(self, "_handles", ()):
            handle.remove()

    def before_writes(self, trainer) -> None:
        """See what was written until now; the recipe's own writes, which come next, are declared."""
        if self.every:
            self.owners.compare()

    def after_writes(self, trainer) -> None:
        """Take the weights after declared writes for the ones to compare with."""
        if self.every:
            self.owners.note()

    def on_record(self, trainer, record: dict[str, Any]) -> None:
        """Write down what is due after a step, and find out where a step that is not finite broke."""
        if not self.every:
            return
        if trainer.state.attempt != self._attempt:  # a guard put other weights back
            self._attempt = trainer.state.attempt
            self.owners.forget()
        if not math.isfinite(record["loss"] + record["grad_norm"]) and not record.get("skipped"):
            self._write(trainer, record["step"], {"kind": "non-finite"}, _where_it_broke(trainer, record))
            return
        if record.get("dropped"):
            self.owners.forget()
            return
        step = record["step"]
        done = step + 1
        if sizes := self.updates.take():
            self._write(trainer, step, {"kind": "updates"}, sizes)
        if self._is_due(trainer.config, done):
            for kind, found in self._due(trainer, record):
                self._write(trainer, step, {"kind": kind}, found)
        self._ask_for_next(done)

    def _is_due(self, config: Config, done: int) -> bool:
        """Return whether more than the sizes of updates is due; most steps are over with this."""
        noise = config.noise_every and (done % config.noise_every == 0 or done in EARLY_NOISE)
        sharp = config.sharpness_every and done % config.sharpness_every == 0
        return bool(noise or sharp) or done % self.every == 0 or done in EARLY or done == config.steps

    def _ask_for_next(self, done: int) -> None:
        often = max(1, self.every // (OFTEN if done < AT_FIRST * self.every else LATER))
        self.updates.due = done % often == 0
        self.owners.due = done < EARLY[0] or done % often == 0

    def _due(self, trainer, record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        config, model, done = trainer.config, trainer.model, record["step"] + 1
        last = done == config.steps
        if last or done % self.every == 0 or done in EARLY:
            with AttentionReader() as attention, UnitsReader(model) as units:  # one pass for all three
                scores = quietly(model, self._inputs)
            yield "attention", attention.found()
            yield "logits", of_logits(model, scores)
            yield "ownership", self.owners.take() if done > 1 else {}
            yield "units", units.found()
        if config.noise_every and (done % config.noise_every == 0 or done in EARLY_NOISE):
            yield "noise", self._noise(trainer, record)
        if config.sharpness_every and done % config.sharpness_every == 0:
            yield "sharpness", self._sharpness(trainer, record)
        if last:
            yield "statefulness", statefulness(model, self._inputs, self._others)
            if done >= FEWEST:
                yield "never-learnt", _never_learnt(trainer)

    def _noise(self, trainer, record: dict[str, Any]) -> dict[str, Any]:
        config, data_step = trainer.config, record.get("data_step", record["step"])
        count = max(config.accumulation, 1 if config.batch_size > 1 else 2)
        cut = pieces([trainer.batch(data_step, micro) for micro in range(count)])
        if len(cut) < 2:
            return {}
        return noise_scale(trainer.model, trainer.recipe.loss, cut) | {"tokens": record["tokens"]}

    def _sharpness(self, trainer, record: dict[str, Any]) -> dict[str, float]:
        whole = trainer.batch(record.get("data_step", record["step"]), 0)
        rows = Batch(*(part[:WINDOWS] for part in whole))
        return {"value": sharpness(trainer.model, trainer.recipe.loss, rows)}

    def _write(self, trainer, step: int, head: dict[str, Any], found: dict[str, Any]) -> None:
        if found:
            attempt = {"attempt": trainer.state.attempt} if trainer.state.attempt else {}
            trainer.writer.probe({"step": step} | attempt | head | found)


def _where_it_broke(trainer, record: dict[str, Any]) -> dict[str, str]:
    recipe, config, step = trainer.recipe, trainer.config, record["step"]
    data_step = record.get("data_step", step)
    batches = [trainer.batch(data_step, micro) for micro in range(config.accumulation)]
    scaler = trainer.precision.scaler
    scale = scaler.get_scale() if scaler.is_enabled() else 1.0
    with contextlib.suppress(RuntimeError):  # a step that cannot be repeated tells nothing
        return first_non_finite(
            trainer.model,
            recipe.loss,
            batches,
            trainer.precision.autocast,
            scale,
            lambda: recipe.seed_step(config, step, trainer.world.rank),
        )
    return {}


def _never_learnt(trainer) -> dict[str, list[str]]:
    """Return the trainable tensors whose second moment is exactly 0, or that the optimizer never saw."""
    states = trainer.optimizer.state
    kept = [state["exp_avg_sq"] for state in states.values() if "exp_avg_sq" in state]
    if not kept:
        return {}
    names = []
    for name, parameter in trainer.model.named_parameters():
        moment = states.get(parameter, {}).get("exp_avg_sq")
        if parameter.requires_grad and (moment is None or not moment.any()):
            names.append(name)
    return {"names": names}
