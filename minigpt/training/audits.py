"""Periodic probes: how weights, activations, Adam's moments and the loss by verb class develop.

    for record in Audits(trainer).take():
        print(record["kind"], record)

They take some milliseconds, read the model on a few fixed validation windows, and leave no trace in it: no
gradient is made, the mode is put back and torch's random state is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.data.batches import windows
from minigpt.data.dataset import Data
from minigpt.data.ngram import NGram, unigram_entropy
from minigpt.model.roles import RULES, roles_of

ITERATIONS = 32  # of the power method; the norm is right to about 1 %
WINDOWS = 8  # validation windows that the activations are measured on
NGRAM_ORDER = 5
MOST_TOKENS = 2_000_000  # above this an n-gram baseline would delay the start of the run


def spectral_norms(matrices: Mapping[str, Tensor], iterations: int = ITERATIONS) -> dict[str, float]:
    """Return the largest singular value of each (m, n) matrix, by the power method.

    The start vectors are always the same, so the figure depends on the matrix alone.
    """
    by_shape: dict[torch.Size, list[str]] = {}
    for name, matrix in matrices.items():
        by_shape.setdefault(matrix.shape, []).append(name)
    norms: dict[str, float] = {}
    for (_, n), names in by_shape.items():
        stack = torch.stack([matrices[name].detach().float() for name in names])  # (K, m, n)
        generator = torch.Generator().manual_seed(0)
        v = torch.randn(n, 1, generator=generator).to(stack.device).expand(len(names), n, 1)
        for _ in range(iterations):
            v = F.normalize(v, dim=1)
            v = stack.mT @ (stack @ v)
        found = v.norm(dim=(1, 2)).sqrt()  # ‖WᵀW v‖ = σ² for the leading v of norm 1
        norms |= zip(names, found.tolist(), strict=True)
    return {name: norms[name] for name in matrices}


def weights(model: nn.Module) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation and spectral norm of every matrix, by its role."""
    roles = roles_of(model)
    matrices = {
        name: parameter.detach().flatten(1)
        for name, parameter in model.named_parameters()
        if RULES[roles[name]].std
    }
    norms = spectral_norms(matrices)
    means = torch.stack([matrix.mean() for matrix in matrices.values()]).tolist()
    stds = torch.stack([matrix.std() for matrix in matrices.values()]).tolist()
    return {
        name: {"mean": mean, "std": std, "spectral_norm": norms[name]}
        for name, mean, std in zip(matrices, means, stds, strict=True)
    }


def activations(model: nn.Module, blocks: Sequence[nn.Module], inputs: Tensor) -> dict[str, list[float]]:
    """Measure the residual stream before the first block and after every block.

    Args:
        inputs: (B, T) token ids.

    Returns:
        rms: root mean square of its elements, one more than there are blocks.
        growth: each over the one before; alone it does not show a missing norm.
    """
    seen: list[Tensor] = []

    def before(_block: nn.Module, arguments: tuple) -> None:
        seen.append(arguments[0])

    def after(_block: nn.Module, _arguments: tuple, output: Tensor) -> None:
        seen.append(output)

    handles = [blocks[0].register_forward_pre_hook(before)]
    handles += [block.register_forward_hook(after) for block in blocks]
    try:
        _evaluated(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    rms = torch.stack([stream.float().square().mean().sqrt() for stream in seen]).tolist()
    return {"rms": rms, "growth": [b / a if a else float("inf") for a, b in zip(rms, rms[1:], strict=False)]}


def moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, float]]:
    """Return ‖m‖, ‖v‖ and the step counter that Adam keeps of every parameter; empty where it keeps none."""
    states = {
        name: optimizer.state[parameter]
        for name, parameter in model.named_parameters()
        if {"exp_avg", "exp_avg_sq", "step"} <= optimizer.state.get(parameter, {}).keys()
    }
    if not states:
        return {}
    m = torch.stack(torch._foreach_norm([state["exp_avg"] for state in states.values()])).tolist()
    v = torch.stack(torch._foreach_norm([state["exp_avg_sq"] for state in states.values()])).tolist()
    return {
        name: {"m": m[index], "v": v[index], "counter": int(state["step"])}
        for index, (name, state) in enumerate(states.items())
    }


@torch.no_grad()
def _evaluated(model: nn.Module, inputs: Tensor) -> Tensor:
    was_training = model.training
    model.eval()
    try:
        return model(inputs)
    finally:
        model.train(was_training)


class VerbClasses:
    """The loss on the validation cells of the verb table, apart for regular and irregular verbs."""

    def __init__(self, data: Data, context: int, device: torch.device | str = "cpu"):
        """Lay the cells side by side: each a row from line break to line break, padded with line breaks."""
        from minigpt.data.corpus import table_cells

        cells = [cell for cell in table_cells() if cell.item.side == "validation"]
        newline = data.tokenizer.newline
        rows = [[newline, *data.tokenizer.encode(str(cell)), newline][: context + 1] for cell in cells]
        longest = max(map(len, rows))
        padded = torch.tensor([row + [newline] * (longest - len(row)) for row in rows], device=device)
        self.inputs, self.targets = padded[:, :-1], padded[:, 1:]  # (N, T)
        lengths = torch.tensor([len(row) - 1 for row in rows], device=device)
        self.mask = torch.arange(longest - 1, device=device) < lengths[:, None]
        self.members = {
            name: torch.tensor([cell.verb_class == name for cell in cells], device=device)
            for name in ("regular", "irregular")
        }

    def losses(self, model: nn.Module) -> dict[str, float]:
        """Return the mean loss by class, in nats per token."""
        logits = _evaluated(model, self.inputs)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), self.targets.flatten(), reduction="none")
        losses = losses.view_as(self.targets)
        return {name: losses[self.mask & rows[:, None]].mean().item() for name, rows in self.members.items()}


class Audits:
    """All periodic probes of a trainer."""

    def __init__(self, trainer):
        self._trainer = trainer
        data, context, device = trainer.data, trainer.config.context, trainer.world.device
        starts = torch.linspace(0, len(data.validation) - context - 1, WINDOWS).long()
        self._inputs = windows(data.validation, starts, context).inputs.to(device)  # (WINDOWS, T)
        self._verbs = VerbClasses(data, context, device) if data.name == "conjugations" else None

    def take(self) -> Iterator[dict[str, Any]]:
        """Yield one record a kind: weights, activations, moments (once there are any) and verb-classes."""
        model = self._trainer.model
        yield {"kind": "weights", "tensors": weights(model)}
        yield {"kind": "activations"} | activations(model, model.h, self._inputs)
        found = moments(model, self._trainer.optimizer)
        if found:
            yield {"kind": "moments", "tensors": found}
        if self._verbs:
            yield {"kind": "verb-classes", "loss": self._verbs.losses(model)}


def baselines(data: Data) -> dict[str, float]:
    """Return the validation loss of an n-gram model and the entropy of single tokens, in nats per token.

    Empty for a text so long that counting it would delay the run.
    """
    if len(data.train) > MOST_TOKENS:
        return {}
    sides = tuple(side.numpy().tobytes() for side in (data.train, data.validation))
    return dict(_baselines(*sides, data.tokenizer.vocab_size))


@lru_cache(maxsize=4)
def _baselines(train: bytes, validation: bytes, vocab_size: int) -> dict[str, float]:
    import numpy as np

    counted, other = (np.frombuffer(side, np.int64) for side in (train, validation))
    ngram = NGram(NGRAM_ORDER, vocab_size).fit(counted)
    return {
        "ngram_order": NGRAM_ORDER,
        "ngram_loss": ngram.loss(other),
        "unigram_entropy": unigram_entropy(other),
    }
