"""Generation: draw the next token again and again, without computing the past again.

    idx = generate(model, prompt, max_new_tokens=50, temperature=0.8, top_p=0.9)

A causal model keeps what it has read in a state (`minigpt.model.state`), so that each new token costs one
token's work. Once the context is full every position moves, the state no longer holds, and each token costs a
whole window. A model of state spaces without learned positions has no such end: it continues from its state,
and a token costs the same however many came before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.messages import MiniGPTError
from minigpt.model.gpt import GPT


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
        model: a GPT, or any module with `config.context` that turns ids (B, T) into logits (B, T, V); such
            a module computes the whole window for every token.
        idx: (B, T) ids, T ≥ 1.
        temperature: 0 always takes the likeliest token.
        top_k: draw among the k likeliest tokens only.
        stop: a sequence ends with this token and is filled up with it; generation ends when all have.
        top_p: draw among the likeliest tokens that together reach this probability (Holtzman et al., 2020).

    Raises:
        MiniGPTError: the prompt is empty, a setting is out of range, or a mixer cannot read token by token.
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
    state = model.init_state(len(idx)) if reads_step_by_step(model) else None
    unending = state is not None and has_no_end(model)
    done = torch.zeros(len(idx), dtype=torch.bool, device=idx.device)
    for _ in range(max_new_tokens):
        if state is not None and (unending or idx.shape[1] <= context):
            logits = model(idx[:, state.length :], state)
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


def reads_step_by_step(model: nn.Module) -> bool:
    """Return whether tokens can be read one after the other: a GPT in which none sees what comes after it."""
    return isinstance(model, GPT) and all(block.attn.causal for block in model.h)


def has_no_end(model: nn.Module) -> bool:
    """Return whether a GPT can read past its context: no part keeps one entry a token, or counts them."""
    unending = all(getattr(block.attn, "has_no_end", False) for block in model.h)
    return unending and model.config.positions != "learned"


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
