"""The sharpness of the loss in somebody's loop, where it is asked for: some 40 passes over a few rows a time.

The gradient of the logits of a cross-entropy names its targets, so the same loss is computed again on a copy
of the model, whose weights are moved (`minigpt.training.instruments.sharpness`).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.monitor.conformance import HALF, tolerance
from minigpt.monitor.future import not_compiled, run_rows
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.layers import copied_easily
from minigpt.monitor.rest import quiet
from minigpt.training.instruments.sharpness import largest_eigenvalue

ROWS = 4  # sequences that the loss is computed on


class SharpnessSeen:
    """Measures once in so many steps, at the next step that is looked at closely."""

    def __init__(self, model: nn.Module, every: int):
        """Prepare; `every` 0 measures never."""
        self._every = every if every and copied_easily(model) else 0
        self._next = self._every
        self._seen: tuple[Tensor, Tensor, Tensor] | None = (
            None  # tokens, targets, and which are scored: (B, T)
        )

    def due(self, step: int) -> bool:
        """Return whether the gradient of the logits is wanted in this step."""
        return bool(self._every) and step >= self._next and not quiet(step)

    def note(self, ids: Tensor, gradient: Tensor, sign: int) -> None:
        """Take the gradient of the logits, (B, T, V); `sign` is −1 where the loss is made to grow."""
        self._seen = ids, (sign * gradient.detach()).argmin(-1), gradient.detach().any(-1)

    def ask(self, step: int, hooks: ModelHooks) -> list[dict[str, Any]]:
        """Return the probe that is due, none where the loss cannot be computed again."""
        if self._seen is None:
            return []
        seen, self._seen, self._next = self._seen, None, step - step % self._every + self._every
        try:
            value = self._measure(hooks, *seen)
        except Exception:  # an external model may raise anything: a probe never ends a run
            return []
        return [] if value is None else [{"step": step, "kind": "sharpness", "value": value}]

    def _measure(self, hooks: ModelHooks, ids: Tensor, targets: Tensor, scored: Tensor) -> float | None:
        call, model = hooks.last_call(), hooks.language_model
        rows = torch.arange(min(len(ids), ROWS), device=ids.device)
        targets, scored = targets[: len(rows)], scored[: len(rows)]
        if call is None or call.ids is not ids or not scored.any() or tolerance(model) >= HALF:
            return None  # in half precision a small move is rounded away
        devices = [ids.device] if ids.is_cuda else []
        with torch.random.fork_rng(devices), torch.enable_grad(), hooks.asleep(), not_compiled():
            twin = copy.deepcopy(model).eval()
            head = dict(zip(model.modules(), twin.modules(), strict=True)).get(hooks.head)

            def value() -> Tensor:
                _, logits = run_rows(twin, call, [], head, hooks.logits_in, rows)
                logits = logits[:, logits.shape[1] - ids.shape[1] :]  # behind a prefix that is no token
                return F.cross_entropy(logits[scored].float(), targets[scored])

            return largest_eigenvalue(twin, value)
