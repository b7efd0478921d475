"""Training on several processes: `torchrun --nproc-per-node 2 -m minigpt train`.

Each process takes its rows of every batch, so the same config gives the same result on one process or many.
Without `torchrun` there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError


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

    def wait(self) -> None:
        """Go on only when every process has come this far."""
        if self.size > 1:
            dist.barrier()


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


def _device(asked: str, local_rank: int) -> str:
    cuda = torch.cuda.is_available()
    if asked == "cuda" and not cuda or asked == "mps" and not torch.backends.mps.is_available():
        raise MiniGPTError("distributed.no-device", asked=asked)
    if asked == "cuda" or asked == "auto" and cuda:
        torch.cuda.set_device(local_rank)
        return f"cuda:{local_rank}"
    return "mps" if asked == "mps" else "cpu"
