"""Number formats and compilation: fp32, bf16, fp16 with loss scaling (Micikevicius et al., 2018).

The scaler's calls come in one order, always all of them: scale the loss, unscale the gradients, clip, step,
update. In fp32 and bf16 the scaler is disabled and each call passes its argument through, so there is one
code path.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """The format that a run computes in, and its loss scaler."""

    dtype: torch.dtype
    device: str  # "cpu", "cuda" or "mps"
    scaler: torch.amp.GradScaler

    def autocast(self) -> AbstractContextManager:
        """Return the context in which the forward pass runs."""
        return torch.autocast(self.device, self.dtype, enabled=self.dtype is not torch.float32)


def build_precision(config: Config, device: str) -> Precision:
    """Return the precision that the config asks for on `device`.

    Raises:
        MiniGPTError: fp16, and nothing can be computed with it there.
    """
    if config.precision == "fp16":
        _refuse_without_fp16(device)
    scaler = torch.amp.GradScaler(
        device,
        init_scale=config.loss_scale,
        growth_factor=config.loss_scale_growth,
        backoff_factor=config.loss_scale_backoff,
        growth_interval=config.loss_scale_interval,
        enabled=config.precision == "fp16",
    )
    return Precision(DTYPES[config.precision], device, scaler)


def _refuse_without_fp16(device: str) -> None:
    """Multiply two small matrices, forward and backward, as a run would: some processors cannot."""
    one = torch.ones(2, 2, device=device, requires_grad=True)
    try:
        with torch.autocast(device, torch.float16):
            product = one @ one
        product.float().sum().backward()
    except RuntimeError as error:
        raise MiniGPTError("train.no-fp16", device=device, detail=str(error).splitlines()[0]) from None
    if product.dtype is not torch.float16:  # older versions of PyTorch warn, and compute in float32
        raise MiniGPTError("train.no-fp16", device=device, detail=str(product.dtype))


def full_precision(device: str) -> Precision:
    """Return float32 without loss scaling, for a measurement beside the run."""
    return Precision(torch.float32, device, torch.amp.GradScaler(device, enabled=False))


def compiled(model: nn.Module) -> nn.Module:
    """Return `model` compiled by torch.compile: its first step is slow, the others are faster.

    Raises:
        MiniGPTError: the compiler that this needs on a CPU is not installed.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")):
        raise MiniGPTError("train.no-compiler")
    return torch.compile(model)
