"""Loops whose batches differ: epochs, streams, documents, masked words, patterns."""

from __future__ import annotations

import random
from types import SimpleNamespace

import torch

from .parts import DATA, END, PAD, B, Decoder, T, V, batch, ce, loop, train


def epochs(rows=60, shuffled=True):
    """Return a function that serves batches of a small data set, in another order each epoch."""
    windows = torch.stack([DATA[37 * row : 37 * row + T + 1] for row in range(rows)])
    queue: list[torch.Tensor] = []

    def batches():
        if not queue:
            order = torch.randperm(rows) if shuffled else torch.arange(rows)
            queue.extend(order.split(B))
        chosen = windows[queue.pop(0)]
        return chosen[:, :-1], chosen[:, 1:]

    return batches


@loop
def several_epochs(out):
    train(out, batches=epochs())


@loop
def read_in_order_as_a_stream(out):
    rows = DATA[: len(DATA) // B * B].view(B, -1)[:, : 40 * T + 1]
    at = [0]

    def batches():
        start = at[0] % (40 * T)
        at[0] += T
        return rows[:, start : start + T], rows[:, start + 1 : start + T + 1]

    train(out, batches=batches)


def documents(rows=B, end=END, pad=PAD):
    """Return padded documents, each with its end, and labels without padding."""
    x = torch.full((rows, T), pad)
    y = torch.full((rows, T), -100)
    for row in range(rows):
        length = random.randint(8, T - 1)
        start = random.randrange(len(DATA) - T)
        text = torch.cat([DATA[start : start + length], torch.tensor([end])])
        x[row, : length + 1] = text
        y[row, :length] = text[1:]
    return x, y


@loop
def padded_documents(out):
    train(out, batches=documents)


@loop
def padded_with_the_end_token(out):
    model = Decoder()
    model.config = SimpleNamespace(pad_token_id=END, eos_token_id=END)
    train(out, model, batches=lambda: documents(pad=END))


@loop
def packed_documents(out):
    def batches():
        x, y = batch()
        x, y = x.clone(), y.clone()
        x[:, 9], y[:, 8] = END, END
        return x, y

    train(out, batches=batches)


@loop
def answers_only(out):
    def batches():
        x, y = batch()
        y = y.clone()
        y[:, : T // 2] = -100
        return x, y

    train(out, batches=batches)


@loop
def curriculum(out):
    seen = [0]

    def batches():
        seen[0] += 1
        return batch(length=8 if seen[0] < 100 else T)

    train(out, batches=batches)


@loop
def masked_words(out):
    model = Decoder()
    model_mask = torch.zeros(T, T)

    def batches():
        x, _ = batch()
        hidden = torch.rand(x.shape) < 0.2
        hidden[:, 0] = True
        return x.masked_fill(hidden, END), x.masked_fill(~hidden, -100)

    train(out, model, batches=batches, loss_of=lambda x, y: ce(model(x, model_mask), y))


@loop
def copies_of_a_pattern(out):
    def batches():
        half = torch.randint(V - 2, (B, T // 2))
        whole = torch.cat([half, half], 1)
        return whole[:, :-1], whole[:, 1:]

    train(out, batches=batches)
