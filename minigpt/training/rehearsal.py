"""A rehearsal: a few steps on a copy, to see whether each part of the loop does what its name says.

Nothing here is statistics. With a gradient that stays the same, AdamW moves every coordinate by the learning
rate at every step; k micro-batches give the gradient of the whole batch; after a step no gradient is left
over and the counters have moved on. A part that breaks one of these is broken, whatever the loss curve looks
like. The run itself is not touched: model and optimizer are copies, and torch's random state is put back.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.model.roles import RULES, frozen_by_design, roles_of
from minigpt.runs.schema import LEAST_GRADIENT, REHEARSAL_STEPS
from minigpt.training.distributed import World
from minigpt.training.instruments.scaling import rehearse_scaling
from minigpt.training.precision import full_precision

if TYPE_CHECKING:
    from minigpt.training.recipe import Recipe

ROWS = 4  # sequences of the batch that are enough to compare gradients
NOT_COMPARED = {"equal": None, "unequal": None}


def rehearse(
    recipe: Recipe,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    by_chance: bool = False,
) -> dict[str, Any]:
    """Return the evidence of the stability check's questions on accumulation, optimizer and gradients.

    Args:
        by_chance: whether the model answers by chance in evaluation mode, too: then no two gradients can be
            compared.

    Returns:
        accumulation_ratio: norm of the gradient of micro-batches ÷ that of the whole batch; by `equal` and
            `unequal` masks, None where a batch has too few targets for them.
        first_updates: size of each of the first updates ÷ learning rate, by a gradient that stays the same.
        downhill: share of the coordinates that the first update moves against their gradient.
        steps_counted: the optimizer's own count of those steps ÷ their number; None where it keeps none.
        carried_gradient: norm of what is left of the gradient after a step.
        decaying: names of the parameters that decay against their role (`vectors`: gains, biases and the
            like), and of those that should and do not (`matrices_without`).
        frozen: names of the parameters that do not learn, those left out that a module freezes by design.
        frozen_by_design: those, where there are any (stop-gradient in a memory).
        scaling: what the parts do with a scaled loss (`instruments.scaling`).
    """
    with torch.random.fork_rng(devices=[]):
        twin = copy.deepcopy(model).eval()
        by_design = frozen_by_design(model)
        return {
            "accumulation_ratio": NOT_COMPARED if by_chance else _accumulation(recipe, twin, batch),
            **_optimizer_steps(recipe, twin, batch),
            "decaying": _decaying(model, optimizer),
            "frozen": [
                name
                for name, parameter in model.named_parameters()
                if not parameter.requires_grad and name not in by_design
            ],
            **({"frozen_by_design": by_design} if by_design else {}),
            "scaling": rehearse_scaling(recipe, twin, batch) or None,
        }


def _gradient(recipe: Recipe, model: nn.Module, batches: list[Batch]) -> list[Tensor]:
    model.zero_grad(set_to_none=True)
    world = World(device=str(next(model.parameters()).device))
    precision = full_precision(world.device_type)
    recipe.accumulate(model, recipe.loss, batches, precision, world)
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def _accumulation(recipe: Recipe, model: nn.Module, batch: Batch) -> dict[str, float | None]:
    rows = Batch(*(part[batch.mask.any(1)][:ROWS] for part in batch))  # others tell nothing
    if len(rows.mask) < 2:
        return NOT_COMPARED
    halves = [rows.mask[: len(rows.mask) // 2], rows.mask[len(rows.mask) // 2 :]]
    counts = [int(half.sum()) for half in halves]
    masks = {"equal": [_first_counted(half, min(counts)) for half in halves], "unequal": halves}
    poorer = int(counts[1] <= counts[0])
    halves[poorer] = _first_counted(halves[poorer], max(min(counts) // 4, 1))
    ratios = {
        name: _accumulation_ratio(recipe, model, rows._replace(mask=torch.cat(mask)))
        for name, mask in masks.items()
    }
    return ratios if max(counts) > 1 else ratios | {"unequal": None}  # one target each: no way to differ


def _first_counted(mask: Tensor, count: int) -> Tensor:
    """Return `mask` (B, T) with no more than `count` targets, those at the earliest positions."""
    ranks = mask.T.flatten().cumsum(0).view(mask.T.shape).T
    return mask & (ranks <= count)


def _accumulation_ratio(recipe: Recipe, model: nn.Module, batch: Batch) -> float | None:
    """Return ‖sum of two micro-batches‖ ÷ ‖whole‖; 1 + relative distance where only directions differ."""
    half = len(batch.mask) // 2
    whole = _gradient(recipe, model, [batch])
    pieces = [Batch(*(part[:half] for part in batch)), Batch(*(part[half:] for part in batch))]
    parts = _gradient(recipe, model, pieces)
    size = torch.nn.utils.get_total_norm(whole)
    if not whole or not size > 0:
        return None
    ratio = (torch.nn.utils.get_total_norm(parts) / size).item()
    apart = (torch.nn.utils.get_total_norm([a - b for a, b in zip(parts, whole, strict=True)]) / size).item()
    return ratio if abs(ratio - 1) > apart / 2 else 1 + apart


def _optimizer_steps(recipe: Recipe, model: nn.Module, batch: Batch) -> dict[str, Any]:
    config = recipe.config
    gradient = _gradient(recipe, model, [Batch(*(part[:ROWS] for part in batch))])
    learning = [parameter for parameter in model.parameters() if parameter.grad is not None]
    optimizer = recipe.build_optimizer(model, config)
    precision = full_precision(next(model.parameters()).device.type)
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    carried, sizes, downhill = 0.0, [], []
    for _ in range(REHEARSAL_STEPS):
        before = [parameter.detach().clone() for parameter in learning]
        for parameter, grad in zip(learning, gradient, strict=True):
            parameter.grad = grad.clone()
        recipe.step(optimizer, precision, config.lr_max)
        moves = _moves(learning, before, gradient, groups)
        sizes.append(moves.abs().median().item() if len(moves) else None)
        downhill.append((moves > 0).float().mean().item() if len(moves) else None)
        left = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        carried = torch.nn.utils.get_total_norm(left).item() if left else 0.0
    counters = [state["step"] for state in optimizer.state.values() if "step" in state]
    kept = "exp_avg" in next(iter(optimizer.state.values()), {}) or not optimizer.state
    return {
        "first_updates": None if None in sizes else sizes,
        "downhill": downhill[0],
        "steps_counted": float(max(counters, default=0.0)) / REHEARSAL_STEPS if kept else None,
        "carried_gradient": carried,
    }


def _moves(
    parameters: list[nn.Parameter], before: list[Tensor], gradient: list[Tensor], groups: dict[int, dict]
) -> Tensor:
    """Return each coordinate's move against its gradient ÷ its learning rate, weight decay taken out."""
    moves = []
    for parameter, old, grad in zip(parameters, before, gradient, strict=True):
        group = groups.get(id(parameter))
        if group and group["lr"] > 0:
            decayed = old * (1 - group["lr"] * group["weight_decay"])
            move = (decayed - parameter.detach()) / group["lr"] * grad.sign()
            moves.append(move[(grad.abs() > LEAST_GRADIENT) & grad.isfinite()])
    return torch.cat(moves) if moves else torch.empty(0)


def _decaying(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, list[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    roles = roles_of(model)
    found: dict[str, list[str]] = {"vectors": [], "matrices_without": []}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None:  # a weight that the model no longer has: 3.5 speaks of it
                continue
            should, does = RULES[roles[name]].decays, group["weight_decay"] > 0
            if does and not should:
                found["vectors"].append(name)
            if should and not does:
                found["matrices_without"].append(name)
    return found
