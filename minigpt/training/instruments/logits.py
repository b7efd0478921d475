"""Output logits and what makes them grow: mean ln Z, the gains of norms, the token embedding.

    logits(model, inputs)     # {"log_z": 6.31, "wte_rms": 0.14, "gain_rms": 1.02}

Cross-entropy does not notice when all logits of a position drift together; ln Z = logsumexp does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minigpt.model.roles import Role, roles_of
from minigpt.training.instruments.quiet import quietly


def logits(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Return mean ln Z in nats over `inputs` (B, T), and root mean squares of gains and token embedding."""
    return of_logits(model, quietly(model, inputs))


def of_logits(model: nn.Module, scores: Tensor) -> dict[str, float]:
    """Return the same from the logits (B, T, V) that the model made."""
    parameters = dict(model.named_parameters())
    gains = [parameters[name] for name, role in roles_of(model).items() if role is Role.GAIN]
    embedding = getattr(model, "wte", None)
    table = embedding.weight if isinstance(embedding, nn.Embedding) else None
    return {"log_z": log_z(scores)} | growth(gains, table)


def growth(gains: Sequence[Tensor], table: Tensor | None) -> dict[str, float]:
    """Return the root mean squares of all gains of norms together, and of the token embedding (V, C)."""
    found = {}
    if gains:
        found["gain_rms"] = _rms(torch.cat([gain.detach().float().flatten() for gain in gains]))
    if table is not None:
        found["wte_rms"] = _rms(table.detach().float())
    return found


def log_z(scores: Tensor) -> float:
    """Return the mean logsumexp of logits (…, V), in nats."""
    return scores.detach().float().logsumexp(-1).mean().item()


def _rms(values: Tensor) -> float:
    flat = values.flatten()
    return math.sqrt(torch.dot(flat, flat).item() / len(flat))  # no copy of a large table is made
