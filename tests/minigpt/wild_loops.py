"""Sound loops as people write them, each with something that a monitor could take for a fault.

A loop is a function of `watch(model, optimizer, **settings)`, which returns a context manager with `step` and
`note`; it returns its losses. `SOUND` holds them by name, with the questions that must stay unanswered.
"""

from __future__ import annotations

import loops
import torch
import torch.nn.functional as F
from loops import B, T, V, batch_at, tokens
from torch import nn

STEPS = 12
SOUND = {}


class Little(nn.Module):
    """A decoder of one block. `returns` is what it gives back, given targets; `scale` is on its logits."""

    def __init__(self, rows=V, d=16, head="linear", returns="logits", scale=1.0, chunks=1, past_only=True):
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.positions = nn.Embedding(rows, d), nn.Embedding(T, d)
        self.norm_1, self.norm_2, self.norm = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = nn.MultiheadAttention(d, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.head = None if head == "functional" else nn.Linear(d, rows, bias=head == "bias")
        self.returns, self.scale, self.chunks, self.past_only = returns, scale, chunks, past_only
        for parameter in self.parameters():
            if parameter.ndim >= 2:
                nn.init.normal_(parameter, std=0.02)

    def hidden(self, ids):
        future = torch.ones(T, T, dtype=torch.bool).triu(1) if self.past_only else None
        x = self.tokens(ids) + self.positions(torch.arange(T))
        y = self.norm_1(x)
        x = x + self.attention(y, y, y, attn_mask=future, need_weights=False)[0]
        return self.norm(x + self.mlp(self.norm_2(x)))

    def logits(self, hidden):
        made = F.linear(hidden, self.tokens.weight) if self.head is None else self.head(hidden)
        return made * self.scale if self.scale != 1 else made

    def forward(self, ids, targets=None):
        hidden = self.hidden(ids)
        if self.chunks > 1:
            parts = zip(
                hidden.flatten(0, 1).chunk(self.chunks), targets.flatten().chunk(self.chunks), strict=True
            )
            return (
                sum(F.cross_entropy(self.logits(h), t, reduction="sum") for h, t in parts) / targets.numel()
            )
        logits = self.logits(hidden)
        return logits if self.returns == "logits" else cross_entropy(logits, targets)


class Dropping(Little):
    """A little model with dropout."""

    def __init__(self, rate=0.2):
        super().__init__()
        self.drop = nn.Dropout(rate)

    def hidden(self, ids):
        return self.drop(super().hidden(ids))


def cross_entropy(logits, targets, **settings):
    """Return the loss of logits (B, T, V)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), **settings)


def plain(model, inputs, targets):
    """Return the loss of a model that returns logits."""
    return cross_entropy(loops.logits_of(model, inputs), targets)


def inside(model, inputs, targets):
    """Return the loss of a model that returns its loss."""
    return model(inputs, targets)


def groups(model):
    """Return parameter groups: matrices decay, vectors do not."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw(model, **settings):
    """Return AdamW over those groups."""
    return torch.optim.AdamW(groups(model), **{"lr": 3e-3} | settings)


def train(watch, model, loss_of=plain, optimizer=adamw, steps=STEPS, clear="before", **settings):
    """Train, one optimizer or several on one model, and return the losses."""
    made = optimizer(model)
    optimizers = made if isinstance(made, list) else [made]
    data, losses = tokens(), []
    with watch(model, optimizers[0], **settings) as monitor:
        for step in range(steps):
            inputs, targets, _ = batch_at(data, step)
            loss = loss_of(model, inputs, targets)
            for one in optimizers if clear == "before" else ():
                one.zero_grad()
            loss.backward()
            for one in optimizers:
                one.step()
            monitor.step(loss)
            losses.append(loss.item())
    return losses


def sound(name, model=Little, *unanswered, **settings):
    """Add a loop of `train` to those that are sound."""
    SOUND[name] = (lambda watch: train(watch, model(), **settings)), unanswered


# ---------------------------------------------------------------------- models

LOGITS = ("1.3", "1.4", "1.5", "1.6")  # questions about what the loss scores

sound("head as a function", lambda: Little(head="functional"))
sound(
    "loss inside, functional head", lambda: Little(head="functional", returns="loss"), *LOGITS, loss_of=inside
)
sound("other layers as wide as the vocabulary", lambda: Little(d=96, returns="loss"), loss_of=inside)
sound("scaled logits", lambda: Little(scale=float(B)), "2.1")
sound("scaled logits inside", lambda: Little(scale=float(B), returns="loss"), "1.1", *LOGITS, loss_of=inside)
sound("padded vocabulary", lambda: Little(rows=1024))
sound("loss in chunks", lambda: Little(chunks=4), *LOGITS, loss_of=inside)
sound("vocabulary given wrong", Little, "1.5", vocab_size=50257)


def unigram_bias():
    """Return a model whose head knows how frequent each token is."""
    model = Little(head="bias")
    model.head.bias.data = (torch.bincount(tokens(), minlength=V) + 1.0).log()
    return model


def sines():
    """Return a model with a fixed table of positions."""
    model = Little()
    angles = torch.arange(T)[:, None] / 10_000 ** (torch.arange(8) / 8)
    model.positions.weight = nn.Parameter(torch.cat([angles.sin(), angles.cos()], 1), requires_grad=False)
    return model


class Counting(Little):
    """A model that counts its calls, and takes another way after some."""

    calls = 0

    def hidden(self, ids):
        self.calls += 1
        return super().hidden(ids) * (1 if self.calls < 6 else 1.1)


sound("head bias of the unigram", unigram_bias)
sound("table of sines", sines)
sound("a model that counts", Counting)


class Twice(nn.Module):
    """A model and its teacher in one module."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = Little(), taught()
        self.teacher.requires_grad_(False)


def taught():
    """Return a model that has learnt a little."""
    model, data = Little(d=32), tokens()
    optimizer = adamw(model, lr=1e-2)
    for step in range(25):
        inputs, targets, _ = batch_at(data, 500 + step)
        plain(model, inputs, targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


# ---------------------------------------------------------------------- losses


def masked(model, inputs, targets):
    hidden = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(int(inputs.sum()))) < 0.2
    return cross_entropy(model(inputs.masked_fill(hidden, 3)), inputs.masked_fill(~hidden, -100))


def distilled(model, inputs, targets):
    with torch.no_grad():
        wanted = model.teacher(inputs).log_softmax(-1)
    made = model.student(inputs)
    soft = F.kl_div(
        made.log_softmax(-1).flatten(0, 1), wanted.flatten(0, 1), log_target=True, reduction="batchmean"
    )
    return (cross_entropy(made, targets) + soft) / 2


def preferred(model, inputs, targets):
    def score(half):
        made = model(inputs[half]).transpose(1, 2)
        return -F.cross_entropy(made, targets[half], reduction="none").sum(-1)

    return -F.logsigmoid(0.1 * (score(slice(0, 4)) - score(slice(4, 8)))).mean()


def short_answers(model, inputs, targets):
    return plain(model, inputs, targets.masked_fill(torch.arange(T) < T - 3, -100))


def z_loss(model, inputs, targets):
    made = model(inputs)
    return cross_entropy(made, targets) + 0.1 * made.logsumexp(-1).square().mean()


def two_passes(model, inputs, targets):
    return plain(model, inputs, targets) + plain(model, inputs.flip(0), targets.flip(0))


sound("masked language model", lambda: Little(past_only=False), "1.5", loss_of=masked)
sound("distillation", Twice, "1.1", *LOGITS, loss_of=distilled, frozen=["teacher"])
sound("preferences", Little, "1.1", *LOGITS, loss_of=preferred)
sound("short answers", loss_of=short_answers)
sound("z-loss", loss_of=z_loss)
sound("two passes added up", Little, *LOGITS, loss_of=two_passes)
sound("in bits", Little, "1.3", loss_of=lambda *batch: plain(*batch) / 0.6931)
sound("smoothed", loss_of=lambda m, x, y: cross_entropy(m(x), y, label_smoothing=0.1))
sound("maximised", loss_of=lambda *batch: -plain(*batch), optimizer=lambda m: adamw(m, maximize=True))


# ---------------------------------------------------------------------- optimizers


class ByHand(torch.optim.Optimizer):
    """An optimizer that somebody wrote: `update(p, state, group)`; groups may lack what others have."""

    def __init__(self, parameters, update, **defaults):
        super().__init__(parameters, defaults)
        self.update = update

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.update(parameter, self.state[parameter], group)


def orthogonal(p, state, group):
    momentum = state.setdefault("momentum", torch.zeros_like(p)).lerp_(p.grad, 0.1)
    u, _, v = torch.linalg.svd(momentum, full_matrices=False)
    p.sub_(group["lr"] * u @ v)


def sign(p, state, group):
    p.sub_(group["rate"] * state.setdefault("m", torch.zeros_like(p)).lerp_(p.grad, 0.1).sign())


def lets_one_pass(p, state, group):
    if "step" not in state:
        state |= {"step": 0, "exp_avg": torch.zeros_like(p)}
        return
    state["step"] += 1
    p.sub_(group["lr"] * state["exp_avg"].lerp_(p.grad, 0.1).sign())


def shared_out(model):
    """Return one optimizer for the matrices of the block and one for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "mlp" in name]
    taken = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in taken]
    return [ByHand(matrices, orthogonal, lr=0.02), torch.optim.AdamW(rest, lr=3e-3, weight_decay=0.0)]


ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
sound("SGD", optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9))
sound("Adafactor", optimizer=lambda m: torch.optim.Adafactor(groups(m), lr=1e-2))
sound("RAdam", optimizer=lambda m: torch.optim.RAdam(m.parameters(), lr=3e-3))
sound("fused", optimizer=lambda m: adamw(m, fused=True))
sound("rate as a tensor", optimizer=lambda m: adamw(m, lr=torch.tensor(1e-3)))
sound(
    "no lr, three betas",
    optimizer=lambda m: ByHand(m.parameters(), sign, rate=1e-3, betas=(0.9, 0.99, 0.999)),
)
sound("lr of None", optimizer=lambda m: ByHand(m.parameters(), sign, rate=1e-3, lr=None, eps=(1e-30, 1e-3)))
sound("first step passed", optimizer=lambda m: ByHand(m.parameters(), lets_one_pass, **ADAM))
sound("matrices and the rest", optimizer=shared_out, schedule=lambda step: 0.02)
sound("the rest and matrices", optimizer=lambda m: shared_out(m)[::-1], schedule=lambda step: 3e-3)
sound(
    "groups of other rates",
    optimizer=lambda m: torch.optim.AdamW(groups(m)[:1] + [groups(m)[1] | {"lr": 1e-3}], lr=2e-3),
    schedule=lambda step: 2e-3,
    multipliers={"1": 0.5},
)
