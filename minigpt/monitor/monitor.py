"""The monitor: what it is told, when it watches, and what it can be asked; `loop` follows the loop itself."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.diagnosis import Walk, check
from minigpt.messages import MiniGPTError, message
from minigpt.model.roles import frozen_by_design
from minigpt.monitor.arguments import Asked, refuse_impossible
from minigpt.monitor.loop import LoopWatch
from minigpt.monitor.optimizers import Optimizers
from minigpt.monitor.ranks import OtherRank
from minigpt.runs.writer import RunWriter, describe_run


class Monitor:
    """Watches a training loop through hooks; a context manager. See `minigpt.monitor`."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        vocab_size: int | None = None,
        run_dir: str | Path,
        schedule: Callable[[int], float] | None = None,
        warmup_steps: int = 0,
        frozen: Iterable[str] = (),
        writes: Iterable[str] = (),
        starts_from: str | None = None,
        scaler: torch.amp.GradScaler | None = None,
        multipliers: Mapping[str, float] | None = None,
        sharpness_every: int = 0,
    ):
        """Prepare to watch; hooks are set on entering the context.

        Among several processes the first one watches, and the others do nothing.

        Args:
            optimizer: that of the model; of several, the one whose steps count.
            vocab_size: tokens in the vocabulary; chance is a loss of ln(vocab_size) nats. The default is that
                of the model's config.
            run_dir: a folder that does not exist yet, or is empty.
            schedule: the learning rate asked for, by optimizer step counted from 0; without it the realised
                one is written down and not judged.
            warmup_steps: length of the warm-up in optimizer steps; judged together with `schedule`.
            frozen: prefixes of the names of parameters that are not meant to learn, or not to the end.
            writes: prefixes of the names of parameters that the loop writes itself, beside the optimizer.
            starts_from: where the weights come from, if the model is not a fresh one.
            scaler: the gradient scaler of an fp16 loop, whose factor is taken out of what is measured; the
                default is the one that makes the first step.
            multipliers: by name or number of a parameter group, what it learns at ÷ `schedule`, where not 1.
            sharpness_every: steps between two measurements of the sharpness, which take some 40 passes over
                four rows each; 0 for none.

        Raises:
            MiniGPTError: the optimizer holds no parameter of the model, or an argument cannot be.
        """
        parallel = (nn.parallel.DistributedDataParallel, nn.DataParallel)
        self.model = model.module if isinstance(model, parallel) else model
        if type(optimizer).__name__ == "AcceleratedOptimizer":  # what it wraps is what steps
            scaler, optimizer = scaler or optimizer.scaler, optimizer.optimizer
        if vocab_size is None:
            vocab_size = getattr(getattr(self.model, "config", None), "vocab_size", None)
        self.vocab_size, self.run_dir = vocab_size, Path(run_dir)
        self.writer: RunWriter | None = None  # until the context is entered
        self._scaler = scaler
        self._optimizers = Optimizers(optimizer, self.model, dict(multipliers or {}))
        frozen, writes = _prefixes(frozen), _prefixes(writes)
        refuse_impossible(
            self._optimizers.names,
            self._optimizers.rates()[0],
            vocab_size=vocab_size,
            schedule=schedule,
            frozen=frozen,
            writes=writes,
            multipliers=dict(multipliers or {}),
            sharpness_every=sharpness_every,
        )
        self._asked = Asked(
            vocab_size=vocab_size,
            schedule=schedule,
            warmup_steps=warmup_steps,
            frozen=(*frozen, *frozen_by_design(self.model)),
            writes=writes,
            starts_from=starts_from,
            multipliers=dict(multipliers or {}),
            sharpness_every=sharpness_every,
        )
        self._ended = False  # whether the loop came to its own end
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._off = distributed and torch.distributed.get_rank() > 0
        self._other_rank: OtherRank | None = None
        self._watch: LoopWatch | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps seen."""
        return self._watch.steps if self._watch else 0

    @property
    def sees_loss(self) -> bool:
        """Whether the newest output of the model held its loss."""
        return self._watch is not None and self._watch.sees_loss

    def __enter__(self) -> Monitor:
        if self._off:
            self._guarded(self._watch_from_another_rank)
            return self
        self.writer = RunWriter(self.run_dir)
        atexit.register(self.__exit__, SystemExit)  # where nobody leaves the context, as in a notebook
        self._guarded(self._watch_loop)
        return self

    def _watch_loop(self) -> None:
        self._watch = LoopWatch(
            self.model,
            self._optimizers,
            self._asked,
            self._scaler,
            self.writer,
            self.run_dir,
            self._give_up,
        )
        count = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        asked = self._asked.settings()
        self.writer.manifest(
            describe_run(None, asked=asked, parameters=count, starts_from=self._asked.starts_from)
        )

    def _watch_from_another_rank(self) -> None:
        rank = torch.distributed.get_rank()
        self._other_rank = OtherRank(self.model, self._optimizers.main, self.run_dir, rank)

    def __exit__(self, error: type[BaseException] | None = None, *_more: object) -> None:
        self._ended = error is None
        if self._other_rank:
            self._guarded(self._other_rank.write)
            self._other_rank.remove()
        if not self._off:
            self._guarded(self._watch.write_all, self._ended)
        if not self._off:
            self._stop()

    def _stop(self) -> None:
        """Take every hook away and close the run directory."""
        self._off = True
        atexit.unregister(self.__exit__)
        if self._watch:
            self._watch.remove()
        self.writer.close()

    def _give_up(self, error: Exception) -> None:
        """Stop watching, and say so once: whatever goes wrong here, the run goes on."""
        if not self._off:
            self._stop()
            warnings.warn(message("monitor.gave-up", error=f"{type(error).__name__}: {error}"), stacklevel=2)

    def _require_entered(self) -> None:
        if self.writer is None:
            raise MiniGPTError("monitor.not-entered")

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._give_up(error)

    def step(self, loss: Tensor | float | None = None, **more: float) -> None:
        """Note the loss of this turn of the loop, once a micro-batch or once an optimizer step.

        Args:
            loss: a scalar; None takes it from the model's output, where that has one.
            more: other figures of this step, such as `val_loss`.

        Raises:
            MiniGPTError: the context was not entered.
        """
        if not self._off:
            self._require_entered()
            self._guarded(self._watch.note_loss, loss, more)

    def note(self, **figures: float) -> None:
        """Note figures that came after their step was written, such as `val_loss`: they join that step."""
        if not self._off and self.steps:
            self._guarded(self._watch.note_figures, figures)

    def check(self, whole: bool = False) -> Walk:
        """Walk the stability check over what was seen so far.

        What cannot be judged, as before the first step and in every process but the first, is an empty walk,
        “unknown”, and a warning says why.

        Raises:
            MiniGPTError: the context was not entered.
        """
        if not self._off:
            self._require_entered()
            self._guarded(self._watch.write_all, self._ended)
        try:
            return check(self.run_dir, whole)
        except MiniGPTError as error:  # a judge's mistake among them: no fault of the loop
            if self._other_rank is None:
                warnings.warn(str(error), stacklevel=2)
            return Walk(())


def _prefixes(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
