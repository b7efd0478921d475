"""Trainable tensors that had no gradient in all the steps of somebody's loop.

What an optimizer remembers is the witness: of what never had a gradient it is exactly 0, or not there. Parts
that are never called, and what is declared as frozen, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from minigpt.monitor.layers import is_sharded
from minigpt.monitor.optimizers import Optimizers, has_moments, parameters_of

FEWEST = 20  # steps after which a tensor without a gradient is worth a word


def never_learnt(
    model: nn.Module, optimizers: Optimizers, idle: Sequence[str], frozen: Sequence[str]
) -> dict[str, list[str]]:
    """Return their `names`; nothing where no optimizer remembers anything, or it holds shards.

    Args:
        idle: names of parameters of parts that are never called.
        frozen: prefixes of the names of parameters that are not meant to learn.
    """
    if any(is_sharded(module) for module in model.modules()):
        return {}
    held = [(optimizer, p) for optimizer in optimizers.all for p in parameters_of(optimizer)]
    if not any(has_moments(optimizer, p) for optimizer, p in held):
        return {}
    asked, holder = set(optimizers.frozen(sure=True)) - set(idle), {id(p): o for o, p in held}
    names = []
    for name, parameter in model.named_parameters():
        name = name.replace("_orig_mod.", "")
        if name not in asked or not parameter.requires_grad or name.startswith(tuple(frozen) or "\0"):
            continue
        if (optimizer := holder.get(id(parameter))) and not has_moments(optimizer, parameter):
            names.append(name)
    return {"names": names}
