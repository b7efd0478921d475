"""Hooks on an external model: the tokens it is given, the logits it makes, and their gradient.

Hooks return nothing, so the model computes the same as without them.

Logits come from the model's return value, else from a layer with vocabulary-sized output. In a small model
several layers can have that size: the first gradient reveals the head, and the others are dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from minigpt.monitor.conformance import HALF, mixing, tolerance
from minigpt.monitor.cut_off import cut_off
from minigpt.monitor.future import Call, future_gradient, past_gradient
from minigpt.monitor.hook import Hook
from minigpt.monitor.layers import find_layers, is_sharded


class ModelHooks:
    """Watches one model: `on_gradient(ids, logits, gradient, source, turn)` is called for what a loss read.

    A source is the layer that made the logits, or the model that returned them; a turn is the number of the
    forward pass. Tokens are None where nobody saw them, logits after the first step.
    """

    def __init__(
        self,
        model: nn.Module,
        vocab_size: int,
        on_gradient: Callable[[Tensor | None, Tensor | None, Tensor, nn.Module, int], None],
        on_error: Callable[[Exception], None],
        on_forward: Callable[[Tensor | None, bool], None] = lambda _ids, _learning: None,
        on_logits: Callable[[Tensor], None] = lambda _logits: None,
        on_later_logits: Callable[[Tensor], None] = lambda _logits: None,
    ):
        """Set the hooks.

        Args:
            on_forward: told of every forward pass: its tokens, where the model was given them, and whether
                gradients are on.
            on_logits: given the logits of the first step while their graph is there,
            on_later_logits: and those of later ones that are listened to.
        """
        self._on_forward, self._on_logits, self._on_later_logits = on_forward, on_logits, on_later_logits
        self._sharded = any(is_sharded(module) for module in model.modules())
        self.ids: Tensor | None = None  # (B, T), of the newest forward pass
        self.felt: Tensor | None = None  # (B, T), tokens with a share in the loss of the first step
        self.loss: Tensor | None = None  # of the newest output that has one, as Hugging Face's do
        self._asleep, self._turn = False, 0
        self._read: list[int] = []  # tokens that each forward pass was given since `take_read`
        self._on_gradient, self._on_error = on_gradient, on_error
        self._layers = layers = find_layers(model, vocab_size)
        self.language_model = layers.language_model
        self._one_input = not getattr(getattr(model, "config", None), "is_encoder_decoder", False)
        self.knows_vocabulary = layers.knows_vocabulary
        self._given = False  # whether the tokens stand in the call of the language model
        self._looking = True  # until the first step has shown where the logits are made,
        self._returned = True  # and whether they are taken from what the model returns
        self._called: tuple[tuple, dict[str, Any]] | None = None  # what the model was called with last,
        self._call: Call | None = None  # and when a gradient came
        self._offered: deque = deque(maxlen=8)  # logits of this forward pass, and the handles of their hooks
        self._heads = {
            module: module.register_forward_hook(self._hook(self._after_head))
            for name, module in layers.heads.items()
            if name not in layers.compiled
        }
        self._tables = [
            table.register_forward_hook(self._hook(self._after_embedding))
            for name, table in layers.embeddings.items()
            if name not in layers.compiled
        ]
        self._handles = [*self._tables]
        self._hears_tokens = bool(self._tables)
        self._around: list = []  # the hooks before and after a forward pass
        if layers.language_model_name not in layers.compiled:
            before, after = self._hook(self._before_forward), self._hook(self._after_forward)
            self._around = [
                self.language_model.register_forward_pre_hook(before, with_kwargs=True),
                self.language_model.register_forward_hook(after),
            ]
            self._handles += self._around

    def _hook(self, call: Callable[..., None]) -> Hook:
        return Hook(call, self._on_error)

    def remove(self) -> None:
        """Take every hook away."""
        for handle in (*self._handles, *self._heads.values()):
            handle.remove()

    def take_read(self) -> list[int]:
        """Return how many tokens each forward pass with gradients was given since this was asked last."""
        read, self._read = self._read, []
        return read

    @property
    def may_rest(self) -> bool:
        """Whether the calls of the model tell every token, and one layer below it makes the logits."""
        return bool(self._around) and self._given and len(self._heads) == 1 and not self._returned

    def listen(self, to_logits: bool) -> None:
        """Take the hook on the layer that makes the logits away, or set it again."""
        for module, handle in self._heads.items():
            handle.remove()
            if to_logits:
                self._heads[module] = module.register_forward_hook(self._hook(self._after_head))

    def settle(self, source: nn.Module, hears_tokens: bool) -> None:
        """Watch from now on only the layer that turned out to make the logits, beside what is returned.

        Args:
            hears_tokens: whether it still matters which tokens are given.
        """
        self._looking, self._call = False, None
        self._returned = source is self.language_model
        if self._around and not self._returned and self.loss is None:
            self._around[1].remove()  # nothing comes by there that is not seen elsewhere
        if self._around and self._given and not hears_tokens:  # the call itself tells the tokens
            for handle in self._tables:
                handle.remove()
        for module in [module for module in self._heads if module is not source]:
            self._heads.pop(module).remove()

    def bias_of(self, source: nn.Module | None) -> Tensor | None:
        """Return the bias of the layer that makes the logits, (V,), or None where it has none."""
        head = source if source in self._heads else self.head
        bias = getattr(head, "bias", None)
        return bias.detach() if isinstance(bias, Tensor) and bias.ndim == 1 else None

    @property
    def head(self) -> nn.Module | None:
        """The layer that makes the logits, as far as it is known."""
        return next(reversed(self._heads), None)

    def later(self, masked: Tensor | None, by_rows: bool) -> dict[str, float]:
        """Ask the model as it is now: does a row depend on others, and does it look ahead?

        Args:
            masked: the positions that count, (B, T); None where it is no question whether it looks ahead.
            by_rows: whether the tokens are known to be (B, T), and not (T, B).
        """
        if self._called is None or self.ids is None or self._sharded or not self._layers.embeddings:
            return {}
        call, found = Call(*self._called, self.ids), {}
        self._asleep = True
        try:
            tables, head = list(self._layers.embeddings.values()), self.head
            if by_rows:
                with suppress(Exception):  # what is handed on from step to step may have rows of its own
                    found |= mixing(self.language_model, call, tables, head, self.logits_in)
            if "mixing" in found:
                found["mixing_tolerance"] = tolerance(self.language_model)
            if masked is not None and masked.shape == call.ids.shape:
                seen = future_gradient(self.language_model, call, masked, tables, head, self.logits_in)
                if seen is not None:
                    found["future_gradient"] = seen
                if self._normalises_batches():  # by rows and places as long as it learns
                    leak = future_gradient(
                        self.language_model, call, masked, tables, head, self.logits_in, learning=True
                    )
                    found |= {} if leak is None else {"learning_leak": leak}
                if self._layers.mixes:
                    seen = past_gradient(self.language_model, call, masked, tables, head, self.logits_in)
                    found |= {} if seen is None else {"past_gradient": seen}
        except Exception:  # an external model may raise anything: a probe never ends a run
            return found
        finally:
            self._asleep = False
        return found

    def _normalises_batches(self) -> bool:
        parts = self.language_model.modules()
        return any(isinstance(part, _BatchNorm) and part.training for part in parts)

    def future_gradient(self, mask: Tensor) -> float | None:
        """Return what logits that count, by `mask` (B, T), feel of later tokens; 0 in a causal model.

        Returns:
            None where embeddings or logits cannot be caught, or the model cannot be called once more.
        """
        call = self._call
        if call is None or self._sharded or not self._layers.embeddings or mask.shape != call.ids.shape:
            return None
        self._asleep = True
        try:
            return future_gradient(
                self.language_model,
                call,
                mask,
                list(self._layers.embeddings.values()),
                self.head,
                self.logits_in,
            )
        except Exception:  # an external model may raise anything: a probe never ends a run
            return None
        finally:
            self._asleep = False

    def cut_off(self) -> dict[str, Any]:
        """Return what of the model the logits do not teach (`minigpt.monitor.cut_off`)."""
        halves = tolerance(self.language_model) > HALF / 2  # which round what is next to nothing
        if self._called is None or self.ids is None or self._sharded or halves:
            return {}
        head, tables = self.head, list(self._layers.embeddings.values())
        self._asleep = True
        try:
            return cut_off(self.language_model, Call(*self._called, self.ids), tables, head, self.logits_in)
        except Exception:  # an external model may raise anything: a probe never ends a run
            return {}
        finally:
            self._asleep = False

    def last_call(self) -> Call | None:
        """Return the newest call with gradients, None where its tokens are not among its arguments."""
        if self._called is None or self.ids is None or self._sharded:
            return None
        arguments, named = self._called
        given = any(value is self.ids for value in (*arguments, *named.values()))
        return Call(arguments, named, self.ids) if given else None

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Hear nothing of the calls of a probe."""
        self._asleep = True
        try:
            yield
        finally:
            self._asleep = False

    def call_again(self) -> None:
        """Call the model as it was called last, without gradients; nobody but its own hooks notices."""
        if self._called is None or self._sharded:
            return
        arguments, named = self._called
        self._asleep = True
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self.language_model(*arguments, **named)
        except Exception:  # an external model may raise anything: a probe never ends a run
            return
        finally:
            self._asleep = False

    # ------------------------------------------------------------------ during a forward pass

    def _before_forward(self, _module: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        if self._asleep:
            return
        if not torch.is_grad_enabled():
            self._on_forward(None, False)
            return
        self._offered.clear()
        self._turn += 1
        given = None
        if self._one_input:  # the embedding will say the same, where it can be heard
            given = next(filter(_like_ids, (*arguments, named.get("input_ids"))), None)
            self._given = given is not None
            self.ids = given if self._given or not self._hears_tokens else self.ids
        self._called = (arguments, named)
        if given is not None:
            self._read.append(given.numel())
        self._on_forward(given, True)

    def _after_embedding(self, _module: nn.Module, arguments: tuple, output: Tensor) -> None:
        if not self._asleep and torch.is_grad_enabled() and arguments and arguments[0].ndim == 2:
            self._offered.clear()
            self.ids = arguments[0]
            self._turn += 1
            if not self._given:
                self._on_forward(self.ids, True)
            if self._looking and isinstance(output, Tensor) and output.requires_grad and output.ndim == 3:
                output.register_hook(self._hook(self._feel))

    def _feel(self, gradient: Tensor) -> None:
        if not self._asleep:
            self.felt = gradient.detach().any(-1)

    def _after_head(self, module: nn.Module, _arguments: tuple, output: Tensor) -> None:
        if not self._asleep and isinstance(output, Tensor) and output.requires_grad:
            self._offer(module, output)

    def _after_forward(self, module: nn.Module, _arguments: tuple, output: Any) -> None:
        if self._asleep or not torch.is_grad_enabled():
            return
        self.loss = getattr(output, "loss", None)
        if not self._returned:
            return
        logits = self.logits_in(output)
        known = any(made is logits for made, _ in self._offered)
        if logits is not None and logits.requires_grad and not known:
            for _, handle in self._offered:  # what is returned is what a loss reads
                handle.remove()
            self._offer(module, logits)
        self._offered.clear()

    def logits_in(self, output: Any) -> Tensor | None:
        """Return the logits among what a model returned, by their size; by their name alone if need be."""
        named = getattr(output, "logits", output.get("logits") if isinstance(output, Mapping) else None)
        if isinstance(named, Tensor):
            return named
        parts = output if isinstance(output, tuple | list) else (output,)
        tensors = [part for part in parts if isinstance(part, Tensor) and part.ndim > 1]
        fits = [part for part in tensors if part.shape[-1] in self._layers.sizes]
        return next(iter(fits or (tensors if not self._heads else ())), None)

    def _offer(self, source: nn.Module, logits: Tensor) -> None:
        if not self._looking:  # in every step, so as little as possible
            self._on_later_logits(logits)
            logits.register_hook(partial(self._arrive_again, self.ids, source, self._turn))
            return
        self._on_logits(logits)
        ids, seen, turn = self.ids, logits.detach(), self._turn
        arrive = self._hook(lambda gradient: self._arrive(ids, seen, gradient, source, turn))
        self._offered.append((logits, logits.register_hook(arrive)))

    def _arrive(
        self, ids: Tensor | None, logits: Tensor | None, gradient: Tensor, source: nn.Module, turn: int
    ) -> None:
        if self._asleep:
            return
        self._offered.clear()
        if self._looking and self._called and ids is not None and ids is self.ids:
            self._call = Call(*self._called, ids)
        self._on_gradient(ids, logits, gradient, source, turn)

    def _arrive_again(self, ids: Tensor | None, source: nn.Module, turn: int, gradient: Tensor) -> None:
        try:
            self._on_gradient(ids, None, gradient, source, turn)
        except Exception as error:
            self._on_error(error)


def _like_ids(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2 and not value.is_floating_point()
