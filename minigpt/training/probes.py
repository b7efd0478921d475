"""Active probes: small experiments on a model and one batch that show faults no metric shows.

None of them changes the run: the model runs in evaluation mode, gradients are taken with
`torch.autograd.grad` (no `.grad` is written) and torch's random state is put back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.model.roles import expected_std, roles_of
from minigpt.runs.schema import OFFSETS
from minigpt.training.instruments.loss_kinds import kind_of_loss

SIZES = (1e3, 1e4)  # of the residual stream, far above a norm's epsilon
POSITIONS = 256  # that tell what the loss takes
ROWS = 4  # sequences: enough to see the inputs of the sublayers


def start_probes(model: nn.Module, loss: Callable[..., Tensor], batch: Batch) -> dict[str, Any]:
    """Return the evidence of the stability check's section 1, measured before the first update."""
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(devices=[]):
        evidence = {
            "duplicate_batch_ratio": duplicate_batch_ratio(model, loss, batch),
            **scored_targets(model, loss, batch),
            "future_gradient": future_gradient(model, batch.inputs),
            "head_bias_max": head_bias_max(model),
            "weights": weight_statistics(model),
            "stream_exponents": stream_exponents(model, batch.inputs),
        }
    model.train(was_training)
    return evidence


def duplicate_batch_ratio(model: nn.Module, loss: Callable[..., Tensor], batch: Batch) -> float:
    """Return the loss of the batch fed twice over that of the batch fed once: 1 for a mean, 2 for a sum."""
    with torch.no_grad():
        logits = model(batch.inputs)
        once = loss(logits, batch.targets, batch.mask)
        twice = loss(
            torch.cat([logits, logits]), *(torch.cat([part, part]) for part in (batch.targets, batch.mask))
        )
    return (twice / once).item() if once else 1.0


def scored_targets(model: nn.Module, loss: Callable[..., Tensor], batch: Batch) -> dict[str, Any]:
    """Find out which targets the loss really scores, wherever they were shifted or masked.

    The gradient of a cross-entropy with respect to the logits is negative at the target alone, and zero at a
    masked position. So the loss function itself tells what it was given, whichever part shifted the targets,
    once or twice.

    Returns:
        unmasked_share: positions with a gradient ÷ positions.
        distinct_targets: different targets among them.
        target_offset_share: by offset d, the share of positions t whose target is the input at t + d.
        loss_given: what the loss takes the logits for; None where it is no cross-entropy.
    """
    logits = model(batch.inputs).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, batch.targets, batch.mask), logits)  # (B, T, V)
    counted = (gradient != 0).any(-1)  # (B, T)
    targets = gradient.argmin(-1)  # (B, T)
    T = targets.shape[1]
    shares = {}
    for offset in OFFSETS:
        here = counted[:, : T - offset]
        same = (targets[:, : T - offset] == batch.inputs[:, offset:]) & here
        shares[str(offset)] = (same.sum() / here.sum().clamp(min=1)).item()
    return {
        "unmasked_share": counted.float().mean().item(),
        "distinct_targets": int(targets[counted].unique().numel()),
        "target_offset_share": shares,
        "loss_given": _given(logits.detach(), gradient, targets, counted),
    }


def _given(logits: Tensor, gradient: Tensor, targets: Tensor, counted: Tensor) -> str | None:
    """Return what the loss takes the logits, (B, T, V), for, by their gradient at some of its positions."""
    if not torch.isfinite(gradient).all():
        return None
    at = counted.flatten().nonzero()[:, 0]
    at = at[:: max(len(at) // POSITIONS, 1)][:POSITIONS]
    rows, pull = (values.flatten(0, 1)[at].float() for values in (logits, gradient))
    kind = kind_of_loss(rows, pull, targets.flatten()[at], int(counted.sum()))
    return None if kind is None else kind.given


def future_gradient(model: nn.Module, inputs: Tensor) -> float:
    """Return the largest gradient of the logits up to the middle of the context with respect to embeddings
    after it.

    A causal model gives exactly 0. The embeddings are caught by a hook on the first `nn.Embedding` whose
    output has the shape of the inputs, so the model needs no change.
    """
    caught: list[Tensor] = []

    def catch(_module: nn.Module, arguments: tuple, output: Tensor) -> Tensor | None:
        if caught or not torch.equal(arguments[0], inputs):
            return None
        caught.append(output.detach().requires_grad_())
        return caught[0]

    handles = [m.register_forward_hook(catch) for m in model.modules() if isinstance(m, nn.Embedding)]
    try:
        logits = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    middle = inputs.shape[1] // 2
    # any fixed mixture of logits, so that opposite effects do not cancel
    direction = torch.linspace(-1, 1, logits.shape[-1], device=logits.device)
    (gradient,) = torch.autograd.grad((logits[:, :middle] * direction).sum(), caught[0])
    return gradient[:, middle:].abs().max().item()


def head_bias_max(model: nn.Module) -> float:
    """Return the largest absolute bias of the layer that makes the logits; 0 when it has none."""
    bias = getattr(model.lm_head, "bias", None)
    return 0.0 if bias is None else bias.detach().abs().max().item()


def weight_statistics(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Return mean, standard deviation and role of everything that is drawn normally, and the standard
    deviation that its role asks for."""
    parameters, found = dict(model.named_parameters()), {}
    for name, role in roles_of(model).items():
        expected = expected_std(role, model.config)
        if expected is not None:
            weight = parameters[name].detach()
            found[name] = {
                "mean": weight.mean().item(),
                "std": weight.std().item(),
                "size": weight.numel(),
                "expected_std": expected,
                "role": str(role),
            }
    return found


def stream_exponents(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Return how the size of what each part reads follows the size of the residual stream.

    Everything that is written to the stream (what a block is given, what its attention and its MLP leave)
    is made `SIZES[0]` and then `SIZES[1]` large. A part behind a norm does not notice: log(size there, second
    run over first) ÷ log(SIZES[1] / SIZES[0]) is 0. A part without one reads what is there: 1, or more.

    Returns:
        The exponent by name of every place that the config's `norm_position` asks a norm for: pre-norm the
        inputs of attention and MLP, post-norm the input of the MLP and the output of the block; in both the
        input of the head. Empty for a model that is not built of such parts.
    """
    position = getattr(getattr(model, "config", None), "norm_position", None)
    blocks = getattr(model, "h", None)
    if position is None or not blocks or not all(hasattr(b, "attn") and hasattr(b, "mlp") for b in blocks):
        return {}
    small, large = (_sizes_read(model, inputs[:ROWS], position, size) for size in SIZES)
    decades = math.log(SIZES[1] / SIZES[0])
    return {name: math.log(large[name] / small[name]) / decades for name in small if small[name] > 0}


@torch.no_grad()
def _sizes_read(model: nn.Module, inputs: Tensor, position: str, size: float) -> dict[str, float]:
    """Return the root mean square at every place that belongs behind a norm, the stream `size` large."""
    found: dict[str, float] = {}
    handles = []

    def read(name: str, place: Tensor) -> None:
        found[name] = place.double().square().mean().sqrt().item()

    def reader(name: str, module: nn.Module) -> None:
        handles.append(module.register_forward_pre_hook(lambda _, given: read(name, given[0])))

    def resize(_block: nn.Module, given: tuple) -> tuple:
        stream, *rest = given
        return stream * (size / stream.square().mean().sqrt().clamp(min=1e-30)), *rest

    for index, block in enumerate(model.h):
        handles.append(block.register_forward_pre_hook(resize))
        for part in (block.attn, block.mlp):
            handles.append(part.register_forward_hook(lambda _part, _given, output: output * size))
        reader(f"h.{index}.mlp", block.mlp)
        if position == "pre":
            reader(f"h.{index}.attn", block.attn)
        else:
            left = partial(read, f"h.{index}")
            handles.append(block.register_forward_hook(lambda _, _given, output, left=left: left(output)))
    reader("lm_head", model.lm_head)
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found
