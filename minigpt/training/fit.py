"""Do model, loss and batch fit together? Asked once before a run, which says a misfit in one sentence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.messages import MiniGPTError


@torch.no_grad()
def refuse_misfit(model: nn.Module, loss: Callable[..., Tensor], batch: Batch) -> None:
    """Refuse a model whose logits the loss cannot score. Nothing is changed by asking.

    Raises:
        MiniGPTError: the model or the loss fails on a batch, the logits are not (B, T, V), or the loss is not
            one number.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            logits = model(batch.inputs)
            wanted = tuple(batch.targets.shape)
            if not isinstance(logits, Tensor) or logits.ndim != 3 or tuple(logits.shape[:2]) != wanted:
                given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise MiniGPTError("train.logits-misfit", given=given, wanted=(*wanted, "V"))
            value = loss(logits, batch.targets, batch.mask)
            if not isinstance(value, Tensor) or value.ndim:
                given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise MiniGPTError("train.loss-misfit", given=given)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise MiniGPTError("train.misfit", detail=" ".join(str(error).split())) from error
    finally:
        model.train(was_training)
