"""The first module that makes something that is not finite, from the last finite weights and the same batch.

    first_non_finite(model, loss, batches)      # {"module": "h.1.mlp.c_fc", "phase": "forward"}

The step is repeated with a hook on every module: in the forward pass the first one with finite input and a
result that is not finite; if there is none, in the backward pass the first one whose gradient towards its
input is not finite although that towards its output is. Leaves of the module tree are asked before the
modules that hold them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.training.instruments.quiet import undisturbed


def first_non_finite(
    model: nn.Module,
    loss: Callable[..., Tensor],
    batches: Sequence[Batch],
    autocast: Callable[[], Any] | None = None,
    scale: float = 1.0,
    seed: Callable[[], None] | None = None,
) -> dict[str, str]:
    """Return `module` and `phase` ("forward", "backward", "loss" or "weights"); empty where all is finite.

    Args:
        batches: the micro-batches of the step.
        autocast: returns the context in which the forward pass of the run is made.
        scale: of the loss.
        seed: puts the randomness of that step (dropout) in place.
    """
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return {"module": name.rpartition(".")[0] or name, "phase": "weights"}
    names = {module: name or "model" for name, module in model.named_modules()}
    found: dict[str, str] = {}
    handles = [hook for module in names for hook in _hooks(module, names, found)]
    try:
        with undisturbed(model, training=model.training), torch.enable_grad(), warnings.catch_warnings():
            # an embedding has no input with a gradient, and torch says so
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            if seed:
                seed()
            for batch in batches:
                _repeat(model, loss, batch, autocast, scale, found)
                if found:
                    break
    finally:
        for handle in handles:
            handle.remove()
    return found


def first_in_forward(model: nn.Module, call: Callable[[], Any]) -> dict[str, str]:
    """Return the first module whose result is not finite when `call` calls the model; empty where none is.

    `call` sees to it that the model notices nothing.
    """
    names = {module: name or "model" for name, module in model.named_modules()}
    found: dict[str, str] = {}
    handles = [module.register_forward_hook(_after(names, found)) for module in names]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _repeat(model, loss, batch, autocast, scale, found) -> None:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if autocast is None:
        value = loss(model(batch.inputs), batch.targets, batch.mask)
    else:
        with autocast():
            value = loss(model(batch.inputs), batch.targets, batch.mask)
    if found:
        return
    if not math.isfinite(value.item()):
        found |= {"module": "loss", "phase": "loss"}
        return
    gradients = torch.autograd.grad(value * scale, parameters, allow_unused=True)
    if not found and not _finite([g for g in gradients if g is not None]):
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        broken = [
            names[id(p)]
            for p, g in zip(parameters, gradients, strict=True)
            if g is not None and not torch.isfinite(g).all()
        ]
        found |= {"module": broken[-1].rpartition(".")[0], "phase": "backward"}


def _after(names: dict[nn.Module, str], found: dict[str, str]) -> Callable[..., None]:
    def after(module: nn.Module, given: tuple, output: Any) -> None:
        if not found and _finite(_tensors(given)) and not _finite(_tensors(output)):
            found.update(module=names[module], phase="forward")

    return after


def _hooks(module: nn.Module, names: dict[nn.Module, str], found: dict[str, str]) -> Iterator[Any]:
    def backward(module: nn.Module, towards_input: tuple, towards_output: tuple) -> None:
        if not found and _finite(_tensors(towards_output)) and not _finite(_tensors(towards_input)):
            found.update(module=names[module], phase="backward")

    yield module.register_forward_hook(_after(names, found))
    if not any(module.children()) and not isinstance(module, nn.Embedding):
        yield module.register_full_backward_hook(backward)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, tuple | list):
        return [tensor for entry in value for tensor in _tensors(entry)]
    return []


def _finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
