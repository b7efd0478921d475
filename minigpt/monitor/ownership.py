"""Which weights take part in the loss, and does an optimizer hold them?

The graph that leads to the logits names every weight that made them. One that learns there, is no parameter
of the model and stands in no optimizer sits in a plain Python list, or was replaced after the optimizer was
built. And a parameter that has no gradient belongs to a part that was never called, or to one that was called
and whose result was cut out of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from minigpt.monitor.hook import Hook
from minigpt.monitor.layers import compiled
from minigpt.training.instruments.outside import leaves_of, outside


class Ownership:
    """What the graphs of the first step showed."""

    def __init__(self, model: nn.Module, on_error: Callable[[Exception], None]):
        self._model = model
        self._taking_part: dict[int, Tensor] = {}
        self._ran: set[int] = set()
        hook = Hook(self._after_forward, on_error)
        modules = dict(model.named_modules())
        inside = compiled(modules)  # hooks there would make it be compiled once more
        self._handles = [
            module.register_forward_hook(hook)
            for name, module in modules.items()
            if name not in inside
            and not any(True for _ in module.children())
            and any(True for _ in module.parameters(recurse=False))
        ]

    def _after_forward(self, module: nn.Module, *_call: Any) -> None:
        self._ran.add(id(module))

    def note(self, logits: Tensor) -> None:
        """Note the graph of some logits, while it is there."""
        self._taking_part |= {id(tensor): tensor for tensor in leaves_of(logits)}

    def settle(self) -> None:
        """Expect no more."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    remove = settle

    def outside(self, held: Iterable[Tensor]) -> dict[str, Any] | None:
        """Return what takes part and learns and stands in no optimizer, None where no graph was seen.

        Args:
            held: parameters of every optimizer that has stepped.
        """
        if not self._taking_part:
            return None
        return outside(self._model, self._taking_part.values(), held)

    def idle(self, names: Iterable[str]) -> list[str]:
        """Return those of `names`, of parameters, that belong to parts which were never called."""
        if not self._ran:
            return []
        asked, found = set(names), []
        for prefix, module in self._model.named_modules():
            if id(module) in self._ran or any(True for _ in module.children()):
                continue
            for name, _ in module.named_parameters(recurse=False):
                whole = f"{prefix}.{name}".lstrip(".").replace("_orig_mod.", "")
                if whole in asked:
                    found.append(whole)
        return found
