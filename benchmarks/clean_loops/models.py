"""Loops whose model differs: norms, tied heads, depth, recurrence, experts, checkpointing, compiled."""

from __future__ import annotations

import torch
from torch import nn

from .parts import D, Decoder, V, adamw, batch, loop, train


@loop
def default_initialisation(out):
    train(out, Decoder(std=None))


@loop
def tied_head(out):
    train(out, Decoder(tied=True))


@loop
def head_with_bias(out):
    train(out, Decoder(bias=True))


@loop
def post_norm(out):
    train(out, Decoder(post=True))


@loop
def rms_norm_and_swiglu(out):
    train(out, Decoder(norm=nn.RMSNorm, swiglu=True))


@loop
def no_positions(out):
    train(out, Decoder(positions=False))


@loop
def one_layer(out):
    train(out, Decoder(depth=1))


@loop
def six_layers(out):
    train(out, Decoder(depth=6), steps=120)


@loop
def gradient_checkpointing(out):
    train(out, Decoder(checkpoint=True, dropout=0.1))


@loop
def recurrent_with_time_first(out):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.core = nn.Embedding(V, D), nn.LSTM(D, D)
            self.head = nn.Linear(D, V)

        def forward(self, x):
            return self.head(self.core(self.tokens(x))[0])

    model = Recurrent()

    def batches():
        x, y = batch()
        return x.T.contiguous(), y.T.contiguous()

    train(out, model, adamw(model, lr=5e-3), batches=batches, clip=1.0)


@loop
def mixture_of_two_experts(out):
    class Mixed(Decoder):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(D, D) for _ in range(2))
            self.gate = nn.Linear(D, 2, bias=False)

        def hidden(self, x, mask=None):
            h = super().hidden(x, mask)
            weights = self.gate(h).softmax(-1)
            return h + sum(weights[..., n : n + 1] * expert(h) for n, expert in enumerate(self.experts))

    train(out, Mixed())


@loop
def early_exit_unused_part(out):
    class Unused(Decoder):
        def __init__(self):
            super().__init__()
            self.pooler = nn.Linear(D, D)

    train(out, Unused())


@loop
def compiled(out):
    model = Decoder(depth=1)
    train(out, torch.compile(model, backend="eager"), adamw(model), steps=60)
