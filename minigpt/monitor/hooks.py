"""Hooks on a model that is not ours: the tokens it is given, the logits it makes, and their gradient.

Nothing is returned from a hook, so the model computes what it would compute without.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

PADDED = 1024  # rows that a vocabulary may have more than it has tokens, for the speed of it
ROWS = 2  # sequences that the look at the future takes


class ModelHooks:
    """Watches one model. `on_gradient(ids, logits, gradient)` is called once a backward pass."""

    def __init__(
        self, model: nn.Module, vocab_size: int, on_gradient: Callable[[Tensor | None, Tensor, Tensor], None]
    ):
        self.ids: Tensor | None = None  # (B, T), of the newest forward pass
        self.loss: Tensor | None = None  # of the newest output that has one, as Hugging Face's do
        self.asleep = False
        self._on_gradient, self._vocab_size = on_gradient, vocab_size
        modules = dict(model.named_modules())
        sizes = range(vocab_size, vocab_size + PADDED)
        embeddings = {
            name: module
            for name, module in modules.items()
            if isinstance(module, nn.Embedding) and module.num_embeddings in sizes
        }
        heads = [
            name
            for name, module in modules.items()
            if name not in embeddings and _rows(module) in sizes and not isinstance(module, nn.Embedding)
        ]
        tied = {id(module.weight) for module in embeddings.values()}
        heads = [name for name in heads if id(modules[name].weight) in tied] or heads
        self.embedding = next(iter(embeddings.values()), None)
        self.head = modules[heads[-1]] if heads else None
        whole = os.path.commonprefix([name.split(".") for name in [*list(embeddings)[:1], *heads[-1:]]])
        self.language_model = modules[".".join(whole)] if heads else model  # holds embedding and head
        self._call: tuple[tuple, dict[str, Any], Tensor | None] | None = None  # the first training call
        self._handles = [
            self.language_model.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            self.language_model.register_forward_hook(self._after_forward),
        ]
        if self.embedding is not None:
            self._handles.append(self.embedding.register_forward_hook(self._after_embedding))
        if self.head is not None:
            self._handles.append(self.head.register_forward_hook(self._after_head))

    def remove(self) -> None:
        """Take every hook away."""
        for handle in self._handles:
            handle.remove()

    @property
    def head_bias(self) -> float | None:
        """Largest absolute bias of the head; 0 where it has none, None where no head was found."""
        if self.head is None:
            return None
        bias = getattr(self.head, "bias", None)
        return bias.detach().abs().max().item() if isinstance(bias, Tensor) else 0.0

    def _before_forward(self, _module: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        if not self.asleep and self._call is None and torch.is_grad_enabled():
            self._call = (arguments, named, None)

    def _after_embedding(self, _module: nn.Module, arguments: tuple, _output: Tensor) -> None:
        if not self.asleep and torch.is_grad_enabled() and arguments and arguments[0].ndim == 2:
            self.ids = arguments[0]
            if self._call and self._call[2] is None:
                self._call = (*self._call[:2], self.ids)

    def _after_head(self, _module: nn.Module, _arguments: tuple, output: Tensor) -> None:
        if not self.asleep and isinstance(output, Tensor) and output.requires_grad:
            ids, logits = self.ids, output.detach()
            output.register_hook(lambda gradient: self._on_gradient(ids, logits, gradient))

    def _after_forward(self, module: nn.Module, arguments: tuple, output: Any) -> None:
        if self.asleep:
            return
        if torch.is_grad_enabled():
            self.loss = getattr(output, "loss", None)
        logits = getattr(output, "logits", output[0] if isinstance(output, tuple) and output else output)
        if self.head is None and isinstance(logits, Tensor) and logits.shape[-1:] >= (self._vocab_size,):
            self._after_head(module, arguments, logits)

    def future_gradient(self) -> float | None:
        """Return the largest gradient of the logits up to the middle with respect to later embeddings.

        A causal model gives exactly 0. The first training batch is used once more, on a few rows, in
        evaluation mode; modes and random states are put back, and no `.grad` is written.

        Returns:
            None where embeddings or logits cannot be caught, or the model cannot be called once more.
        """
        call, self._call = self._call, None
        if call is None or call[2] is None or call[2].shape[1] < 2:
            return None
        modes = [(module, module.training) for module in self.language_model.modules()]
        devices = [call[2].device] if call[2].is_cuda else []
        self.asleep = True
        try:
            with torch.random.fork_rng(devices), torch.enable_grad():
                self.language_model.eval()
                return self._look_ahead(*call)
        except Exception:  # whatever a model that is not ours raises: a probe never ends a run
            return None
        finally:
            self.asleep = False
            for module, training in modes:
                module.training = training

    def _look_ahead(self, arguments: tuple, named: dict[str, Any], ids: Tensor) -> float | None:
        rows = ids.shape[0]
        arguments = tuple(_first_rows(value, rows) for value in arguments)
        named = {name: _first_rows(value, rows) for name, value in named.items()}
        embedded: list[Tensor] = []
        made: list[Tensor] = []

        def catch(_module: nn.Module, _arguments: tuple, output: Tensor) -> Tensor | None:
            if embedded:
                return None
            embedded.append(output.detach().requires_grad_())
            return embedded[0]

        handles = [self.embedding.register_forward_hook(catch, prepend=True)]  # before any other
        if self.head is not None:
            handles.append(self.head.register_forward_hook(lambda *call: made.append(call[2])))
        try:
            output = self.language_model(*arguments, **named)
        finally:
            for handle in handles:
                handle.remove()
        logits = made[0] if made else getattr(output, "logits", output)  # (B, T, V)
        T = ids.shape[1]
        if not embedded or logits.ndim != 3 or logits.shape[1] != T:
            return None
        # any fixed mixture of logits, so that opposite effects do not cancel
        direction = torch.linspace(-1, 1, logits.shape[-1], device=logits.device)
        (gradient,) = torch.autograd.grad((logits[:, : T // 2].float() * direction).sum(), embedded[0])
        return gradient[:, T // 2 :].abs().max().item()


def _rows(module: nn.Module) -> int | None:
    weight = getattr(module, "weight", None)
    return weight.shape[0] if isinstance(weight, Tensor) and weight.ndim == 2 else None


def _first_rows(value: Any, rows: int) -> Any:
    batched = isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == rows
    return value[:ROWS] if batched else value
