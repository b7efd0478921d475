"""Training on several processes: `torchrun --nproc-per-node 2 -m minigpt train`.

Each process takes its rows of every batch, so the same config gives the same result on one process or many.
The first one (rank 0) writes and reports. Without `torchrun` there is one process and nothing here does
anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError

T = TypeVar("T")


class PeerError(MiniGPTError):
    """This process stops because the first one failed, which tells why."""


@dataclass(frozen=True)
class World:
    """The processes that train together."""

    rank: int = 0  # which one this is
    size: int = 1
    device: str = "cpu"

    @property
    def device_type(self) -> str:
        """The kind of device: "cpu", "cuda" or "mps"."""
        return self.device.partition(":")[0]

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return `model` so that its gradients are averaged over the processes during the backward pass."""
        return nn.parallel.DistributedDataParallel(model) if self.size > 1 else model

    def without_sync(self, model: nn.Module, last: bool) -> AbstractContextManager:
        """Keep gradients local until the last micro-batch of a step: one exchange a step is enough."""
        return model.no_sync() if self.size > 1 and not last else nullcontext()

    def sum(self, *values: float) -> list[float]:
        """Return each value added up over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def rows(self, here: torch.Tensor) -> torch.Tensor:
        """Return the rows of all processes, (size · n, …) of (n, …), in the order of the whole batch."""
        if self.size == 1:
            return here
        everywhere = [torch.empty_like(here) for _ in range(self.size)]
        dist.all_gather(everywhere, here.contiguous())
        return torch.stack(everywhere, 1).flatten(0, 1)

    def any(self, here: bool) -> bool:
        """Return whether something holds on at least one process; every process gets the same answer."""
        return self.sum(float(here))[0] > 0

    def on_main(self, action: Callable[[], T]) -> T | None:
        """Run `action` on the first process, while the others wait; return its result there, None elsewhere.

        Raises:
            MiniGPTError: what `action` raised; the other processes raise `PeerError`, so that none is left
                waiting for one that has stopped.
        """
        if self.size == 1:
            return action()
        result, error = None, None
        if self.main:
            try:
                result = action()
            except MiniGPTError as raised:
                error = raised
        failed = self.any(error is not None)
        if error:
            raise error
        if failed:
            raise PeerError("distributed.peer-failed", rank=self.rank)
        return result

    def share(self, value: T) -> T:
        """Return what the first process passes, on every process."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box)
        return box[0]


def join_world(config: Config) -> World:
    """Return the world that `torchrun` announces in the environment, or a world of one.

    Raises:
        MiniGPTError: the device is not there, or the batch cannot be split evenly.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = _device(config.device, int(os.environ.get("LOCAL_RANK", 0)))
    if config.batch_size % size:
        raise MiniGPTError("distributed.uneven-batch", batch_size=config.batch_size, size=size)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(rank, size, device)


def end_process(code: int) -> None:
    """End this process at once, if it is one of several; what it wrote is on disk and its peers know.

    To take a process group down while the interpreter ends is a race with the peers, and aborts now and then
    on a busy machine.
    """
    if dist.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _device(asked: str, local_rank: int) -> str:
    gpus = torch.cuda.device_count()
    if asked == "cuda" and not gpus or asked == "mps" and not torch.backends.mps.is_available():
        raise MiniGPTError("distributed.no-device", asked=asked)
    if asked == "cuda" or asked == "auto" and gpus:
        if local_rank >= gpus:
            raise MiniGPTError("distributed.too-few-gpus", gpus=gpus)
        torch.cuda.set_device(local_rank)
        return f"cuda:{local_rank}"
    return "mps" if asked == "mps" else "cpu"
