"""Which weights take part in the loss, and does an optimizer hold them?

The graph that leads to the logits names every weight that made them. One that learns there, is no parameter
of the model and stands in no optimizer sits in a plain Python list, or was replaced after the optimizer was
built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

MOST = 200_000  # nodes of a graph that are visited


def leaves_of(output: Tensor) -> list[Tensor]:
    """Return the tensors that learn and of which `output` was made."""
    found: dict[int, Tensor] = {}
    seen, waiting = set(), [output.grad_fn]
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
        waiting += [following for following, _ in node.next_functions]
    return list(found.values())


def outside(model: nn.Module, taking_part: Iterable[Tensor], held: Iterable[Tensor]) -> dict[str, Any]:
    """Return what takes part and learns and stands in no optimizer.

    Args:
        taking_part: tensors that the logits were made of.
        held: parameters of every optimizer.
    """
    held = list(held)
    known = {id(parameter) for parameter in held}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    lost = [
        tensor
        for tensor in taking_part
        if id(tensor) not in known and isinstance(tensor, nn.Parameter) and tensor.requires_grad
    ]
    strangers = [parameter for parameter in held if id(parameter) not in names and parameter.grad is None]
    shapes = {_kind(parameter) for parameter in strangers}
    not_ours = [tensor for tensor in lost if id(tensor) not in names]
    # held by nobody, while the optimizer holds one of its kind that is dead
    replaced = [t for t in lost if id(t) in names and _kind(t) in shapes]
    first = (not_ours or replaced or [None])[0]
    return {
        "count": len(not_ours) + len(replaced),
        "numbers": sum(tensor.numel() for tensor in not_ours + replaced),
        "replaced": len(replaced),
        "name": names.get(id(first), "×".join(map(str, first.shape))) if first is not None else "–",
    }


def _kind(parameter: Tensor) -> tuple[int, ...]:
    """Return the shape, without the length of a table, which may have been made longer."""
    return (parameter.ndim, *parameter.shape[min(parameter.ndim - 1, 1) :])
