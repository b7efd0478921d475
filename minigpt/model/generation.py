"""Generation: draw the next token again and again, without computing the past anew.

    idx = generate(model, prompt, max_new_tokens=50, temperature=0.8, top_p=0.9)

In a causal model the keys and values of a token do not change when later tokens follow, so a `KVCache` keeps
them and each new token costs one token's work. Once the context is full every position moves, nothing kept
holds any more, and each token costs a whole window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.messages import MiniGPTError
from minigpt.model.gpt import GPT


class LayerCache:
    """Keys and values of one attention layer, (B, n_head, T so far, head_size) each."""

    def __init__(self, batch: int, model: GPT):
        config, weight = model.config, model.wte.weight
        shape = (batch, config.n_head, config.context, config.n_embd // config.n_head)
        self.keys = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add T tokens; return all keys, all values and who sees whom, (T, T so far) booleans."""
        start, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        mask = torch.ones(keys.shape[2], self.length, dtype=torch.bool, device=keys.device).tril(start)
        return self.keys[:, :, : self.length], self.values[:, :, : self.length], mask


class KVCache:
    """What a GPT remembers of the tokens it has seen: `model(new_tokens, cache)` goes on from there.

    Args:
        batch: sequences side by side, B.
    """

    def __init__(self, model: GPT, batch: int):
        self.layers = [LayerCache(batch, model) for _ in model.h]

    @property
    def length(self) -> int:
        """Tokens seen, at most the model's context."""
        return self.layers[0].length


def generate(
    model: nn.Module,
    idx: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    stop: int | None = None,
    generator: torch.Generator | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Continue token ids and return them with the continuation.

    Args:
        model: a GPT, or any module with `config.context` that turns ids (B, T) into logits (B, T, V).
        idx: (B, T) ids, T ≥ 1.
        temperature: 0 always takes the likeliest token.
        top_k: draw among the k likeliest tokens only.
        stop: a sequence ends with this token and is filled up with it; generation ends when all have.
        top_p: draw among the likeliest tokens that together reach this probability (Holtzman et al., 2020).

    Raises:
        MiniGPTError: the prompt is empty, or a setting is out of range.
    """
    _refuse_bad_settings(idx, temperature, top_k, top_p)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return _generate(model, idx, max_new_tokens, temperature, top_k, stop, generator, top_p)
    finally:
        model.train(was_training)


def _generate(model, idx, max_new_tokens, temperature, top_k, stop, generator, top_p) -> Tensor:
    context = model.config.context
    cache = KVCache(model, len(idx)) if keeps_its_past(model) else None
    done = torch.zeros(len(idx), dtype=torch.bool, device=idx.device)
    for _ in range(max_new_tokens):
        if cache is not None and idx.shape[1] <= context:
            logits = model(idx[:, cache.length :], cache)
        else:
            logits = model(idx[:, -context:])
        following = draw(logits[:, -1], temperature, top_k, top_p, generator)  # (B, 1)
        if stop is not None:
            following = following.masked_fill(done[:, None], stop)
            done |= following[:, 0] == stop
        idx = torch.cat([idx, following], dim=1)
        if done.all():
            break
    return idx


def keeps_its_past(model: nn.Module) -> bool:
    """Whether keys and values can be kept: a GPT in which no token sees what comes after it."""
    return isinstance(model, GPT) and all(block.attn.causal for block in model.h)


def draw(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the next token (B, 1) from logits (B, V): temperature, then top-k, then top-p."""
    if logits.isnan().any():
        raise MiniGPTError("sample.not-a-number")
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    logits = logits.float() / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p is not None:
        probabilities, order = logits.softmax(-1).sort(-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities  # of all likelier tokens
        excluded = (before >= top_p).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(excluded, -torch.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)


def _refuse_bad_settings(idx: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if idx.shape[1] == 0:
        raise MiniGPTError("sample.empty-prompt")
    if not temperature >= 0:
        raise MiniGPTError("sample.bad-temperature", given=temperature)
    if top_k is not None and top_k < 1:
        raise MiniGPTError("sample.bad-top-k", given=top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise MiniGPTError("sample.bad-top-p", given=top_p)
