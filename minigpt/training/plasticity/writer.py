"""Plasticity in a run: watches the spikes of a training step, and writes to the weights after the optimizer.

These are *declared* writes beside the optimizer: the recipe's part makes them, at the end of a step, and the
manifest names the tensors. What else writes to weights is a fault (leaf `writes-outside-optimizer`).

A channel of a feed-forward's input counts as firing where it lies one standard deviation above the mean of
its token, and a unit where its output is above 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.model.ffn.spiking import Spiking
from minigpt.training.plasticity import rules

MEMORY_STEPS = 100  # over which rates and BCM's threshold are averaged


class Activity:
    """What fires in the layers `c_fc` and `c_proj` of some modules, during training passes alone."""

    def __init__(self, modules: Mapping[str, nn.Module]):
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
        self._pre: dict[str, Tensor] = {}
        self._handles = []
        for name, module in modules.items():
            self._handles += [
                module.c_fc.register_forward_pre_hook(partial(self._note_pre, name)),
                module.c_proj.register_forward_pre_hook(partial(self._note_post, name)),
            ]

    def _note_pre(self, name: str, module: nn.Module, given: tuple) -> None:
        if module.training and torch.is_grad_enabled():
            x = given[0].detach().float()
            self._pre[name] = (x > x.mean(-1, keepdim=True) + x.std(-1, keepdim=True)).float()

    def _note_post(self, name: str, module: nn.Module, given: tuple) -> None:
        if name in self._pre:
            self.seen[name].append((self._pre.pop(name), (given[0].detach() > 0).float()))

    def forget(self) -> None:
        """Forget what was seen so far."""
        self._pre.clear()
        for passes in self.seen.values():
            passes.clear()

    def remove(self) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()


class Plasticity(nn.Module):
    """The writes of one run. It has no parameters; what it remembers is memory (`minigpt.model.state`)."""

    def __init__(self, modules: Mapping[str, nn.Module], config: Config):
        super().__init__()
        self.config = config
        self._weights = {name: module.c_fc.weight for name, module in modules.items()}
        self._activity = Activity(modules)
        self._kept: dict[str, Tensor] = {}  # "<quantity>/<module>"

    @property
    def writes(self) -> list[str]:
        """Names of the tensors that are written to."""
        return [f"{name}.c_fc.weight" for name in self._weights]

    def forget(self) -> None:
        """Drop what was seen of a step that is not taken."""
        self._activity.forget()

    @torch.no_grad()
    def write(self) -> dict[str, float]:
        """Change the weights by what was seen since the last time.

        Returns:
            change: size of the change ÷ size of the weights, over all of them; rate: spikes a token.
        """
        moved = size = fired = 0.0
        for name, weight in self._weights.items():
            passes = self._activity.seen[name]
            if not passes:
                continue
            changes = [self._asked(name, weight, pre, post) for pre, post in passes]
            change = self.config.plasticity_rate * torch.stack(changes).mean(0).to(weight.dtype)
            if self.config.meta_plasticity:
                change = change * self._rates_of(name, change)
            weight += change
            moved += change.square().sum().item()
            size += weight.square().sum().item()
            fired += passes[-1][1].mean().item() / len(self._weights)
        self._activity.forget()
        return {"change": (moved / size) ** 0.5, "rate": fired} if size else {}

    def _asked(self, name: str, weight: Tensor, pre: Tensor, post: Tensor) -> Tensor:
        rule, tau = self.config.plasticity, self.config.plasticity_tau
        if rule == "triplet":
            return rules.triplet(pre, post, tau)
        if rule == "bcm":
            threshold = self._averaged("threshold", name, rules.rates(post, tau).square().mean((0, 1)))
            return rules.bcm(pre, post, tau, threshold)
        change = rules.pair(pre, post, tau)
        if rule == "homeostatic":
            change += rules.scaling(weight, self._averaged("rate", name, post.mean((0, 1))))
        return change

    def _averaged(self, quantity: str, name: str, now: Tensor) -> Tensor:
        """Return the mean of a quantity over the last steps, from its first value on."""
        key = f"{quantity}/{name}"
        kept = self._kept.get(key)
        self._kept[key] = now if kept is None else kept + (now - kept) / MEMORY_STEPS
        return self._kept[key]

    def _rates_of(self, name: str, change: Tensor) -> Tensor:
        """Return a factor in (0, 1] for each weight: half, once it has moved as far as weights are drawn."""
        key = f"moved/{name}"
        moved = self._kept.get(key, torch.zeros_like(change))
        self._kept[key] = moved + change.abs()
        return 1 / (1 + moved / self.config.init_std)

    def memory_state(self) -> dict[str, Tensor]:
        """Return rates, thresholds and distances by module."""
        return self._kept

    def load_memory_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `memory_state` returned."""
        self._kept = dict(state)


def build_plasticity(model: nn.Module, config: Config) -> Plasticity | None:
    """Return the writer that the config asks for, made a part of the model; None where it asks for none."""
    if config.plasticity == "none":
        return None
    plasticity = Plasticity(dict(spiking_modules(model)), config)
    model.add_module("plasticity", plasticity)  # where checkpoints look for memory
    return plasticity


def spiking_modules(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the feed-forwards of spiking units by name."""
    for name, module in model.named_modules():
        if isinstance(module, Spiking):
            yield name, module
