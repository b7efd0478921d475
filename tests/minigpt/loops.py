"""Loops as other people write them, around an external model, each with room for one mistake."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F

from minigpt.data.corpus import load_corpus
from minigpt.faults.uncorrected_adamw import UncorrectedAdamW

V, T, B = 320, 32, 8
LR = 3e-3


def make_model(seed=0, dropout=0.0):
    """Return a small GPT-2 of transformers, or ours where that is not installed."""
    torch.manual_seed(seed)
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        from minigpt.config import Config
        from minigpt.model.gpt import GPT, init_weights

        config = Config(vocab_size=V, context=T, n_layer=2, n_head=2, n_embd=32, dropout=dropout)
        model = GPT(config)
        init_weights(model, config)
        return model
    shape = {"vocab_size": V, "n_positions": T, "n_embd": 32, "n_layer": 2, "n_head": 2}
    drop = {name: dropout for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop")}
    return GPT2LMHeadModel(GPT2Config(**shape, **drop, bos_token_id=0, eos_token_id=0))


def logits_of(model, inputs):
    """Call the model, whosever it is."""
    output = model(inputs)
    return getattr(output, "logits", output)


def tokens() -> torch.Tensor:
    """Return bytes of the corpus as token ids."""
    return torch.frombuffer(bytearray(load_corpus().train[:40_000].encode()), dtype=torch.uint8).long()


def batch_at(data, step):
    """Return inputs and targets, (B, T) each."""
    generator = torch.Generator().manual_seed(step)
    starts = torch.randint(len(data) - T - 2, (B,), generator=generator)
    windows = torch.stack([data[start : start + T + 2] for start in starts])
    return windows[:, :T], windows[:, 1 : T + 1], windows[:, 2 : T + 2]


def groups(model, fault=""):
    """Return parameter groups: matrices decay, the others do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    if fault == "decay-groups":
        matrices, vectors = [*matrices, *vectors[:-2]], vectors[-2:]
    if fault == "missing-parameters":
        matrices = matrices[:-2]
    return [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]


def lr_asked(step, longer=1):
    """Linear warm-up of 5 steps, then a straight line down to a tenth; all that so many times `longer`."""
    left = 1 - 0.9 * min(max(step - 5 * longer + 1, 0) / (40 * longer), 1.0)
    return LR * min((step + 1) / (5 * longer), 1.0) * left


def train(fault="", monitor=None, steps=12, k=1, seed=0, model=None, mask=None):
    """Train, with one mistake; `monitor(model, optimizer)` returns what watches.

    Returns:
        the losses, the model, and the monitor.
    """
    model, data = model or make_model(seed), tokens()
    if fault == "frozen-parameters":
        for block in model.transformer.h if hasattr(model, "transformer") else model.h:
            block.requires_grad_(False)
    if fault == "future-leak":
        see_the_future(model)
    kind = UncorrectedAdamW if fault == "no-bias-correction" else torch.optim.AdamW
    optimizer = kind(groups(model, fault), lr=LR)
    losses = []
    with monitor(model, optimizer) if monitor else nullcontext() as watching:
        for step in range(steps):
            if fault == "lost-optimizer-state":
                optimizer = kind(groups(model), lr=LR)
            at = step * k if fault == "schedule-step-unit" else step
            rate = lr_asked(at, longer=k if fault == "schedule-lengths" else 1)
            rate = LR if fault == "scheduler-never-stepped" else rate
            for group in optimizer.param_groups:
                group["lr"] = rate * (0.1 if fault == "lr-group-scale" and group["weight_decay"] else 1)
            for micro in range(k):
                inputs, targets, later = batch_at(data, step * k + micro)
                if mask is not None:
                    targets = targets.masked_fill(mask(micro), -100)
                logits = logits_of(model, inputs).flatten(0, 1)
                scored = later if fault == "target-shift" else targets
                scored = torch.full_like(targets, 7) if fault == "degenerate-data" else scored
                scored = torch.full_like(targets, -100) if fault == "loss-mask-empty" else scored
                reduction = "sum" if fault == "loss-reduction" else "mean"
                loss = F.cross_entropy(logits, scored.flatten(), reduction=reduction)
                (loss if fault == "accumulation-sum" else loss / k).backward()
                losses.append(loss.item())
                if watching:
                    watching.step(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if fault != "missing-zero-grad":
                optimizer.zero_grad()
    return losses, model, watching


def see_the_future(model):
    """Let every block read the next position too."""
    embedding = model.transformer.wte if hasattr(model, "transformer") else model.wte
    embedding.register_forward_hook(lambda _m, _a, output: output + output.roll(-1, 1))
