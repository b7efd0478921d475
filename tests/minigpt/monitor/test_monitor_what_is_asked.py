"""What a loss asks for, and whom it teaches: mistakes of both kinds in our own loops, named when broken."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from loops import V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict
from minigpt.runs.evidence import evidence_of

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()
PREFIX = 5


@KINDS.add("smoothing-too-strong")
def the_share_to_keep_is_given_as_smoothing(watch, broken):
    model = Little()
    train(watch, model, loss_of=lambda x, y: cross_entropy(model(x), y, label_smoothing=[0.1, 0.9][broken]))


@KINDS.add("smoothing-too-strong")
def every_token_gets_a_whole_share(watch, broken):
    """Logits that differ a lot: a target that adds up to more than 1 no longer follows p."""
    model = Little(d=32)
    nn.init.normal_(model.head.weight, std=0.1)

    def loss_of(x, y):
        log_p = model(x).log_softmax(-1)
        kept = 0.8 * log_p.gather(-1, y[..., None])[..., 0] + log_p.sum(-1) * (0.2 if not broken else 1) / V
        return -kept.mean()

    train(watch, model, loss_of=loss_of)


class Told(Little):
    """A decoder with a prefix of learnt vectors, which are no tokens, before its text."""

    def __init__(self):
        super().__init__()
        self.prefix = nn.Parameter(torch.randn(PREFIX, 16) * 0.02)

    def forward(self, ids):
        x = torch.cat([self.prefix.expand(len(ids), -1, -1), self.tokens(ids)], 1)
        y = self.norm_1(x)
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = x + self.attention(y, y, y, attn_mask=future, need_weights=False)[0]
        return self.head(self.norm(x + self.mlp(self.norm_2(x))))


@KINDS.add("target-shift")
def labels_begin_where_the_prefix_does(watch, broken):
    model = Told()

    def loss_of(x, y):
        nothing = torch.full((len(x), PREFIX), -100)
        labels = torch.cat([y, nothing] if broken else [nothing, y], 1)
        return cross_entropy(model(x), labels)

    train(watch, model, loss_of=loss_of)


class Scorer(nn.Module):
    """A number for each row: what its tokens are worth."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.layer, self.score = nn.Embedding(V, 16), nn.Linear(16, 16), nn.Linear(16, 1)

    def forward(self, ids):
        return self.score(self.layer(self.tokens(ids).mean(1)).tanh())


@KINDS.add("broadcast-loss")
def scores_of_shape_n_1_meet_targets_of_shape_n(watch, broken):
    model, worth = Scorer(), torch.randn(V, generator=torch.Generator().manual_seed(1))

    def loss_of(x, y):
        scores, wanted = model(x), worth[x].mean(1)
        return ((scores if broken else scores[:, 0]) - wanted).square().mean()

    train(watch, model, loss_of=loss_of)


class Ternary(nn.Linear):
    """A layer whose weights are −1, 0 or 1 times their mean size."""

    def __init__(self, *shape, passes=True):
        super().__init__(*shape)
        self.passes = passes

    def forward(self, x):
        scale = self.weight.abs().mean()
        rounded = (self.weight / scale).round().clamp(-1, 1) * scale
        weight = self.weight + (rounded - self.weight).detach() if self.passes else rounded
        return F.linear(x, weight, self.bias)


@KINDS.add("gradient-cut-off")
def weights_are_rounded_and_nothing_passes_by(watch, broken):
    model = Little(d=32)
    model.mlp = nn.Sequential(
        Ternary(32, 64, passes=not broken), nn.GELU(), Ternary(64, 32, passes=not broken)
    )
    train(watch, model)


class Routed(nn.Module):
    """One of three experts for each token."""

    def __init__(self, weight_of):
        super().__init__()
        self.choose, self.weight_of = nn.Linear(16, 3, bias=False), weight_of
        self.parts = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.balance = None

    def forward(self, x):
        shares = self.choose(x).softmax(-1)
        best, index = shares.max(-1)
        self.balance = 3 * (F.one_hot(index, 3).float().mean((0, 1)) * shares.mean((0, 1))).sum()
        weight = self.weight_of(best)
        made = sum(part(x) * (index == n)[..., None] for n, part in enumerate(self.parts))
        return made * weight[..., None]


def routed(watch, weight_of):
    model = Little()
    model.mlp = Routed(weight_of)

    def loss_of(x, y):
        loss = cross_entropy(model(x), y)
        return loss + 0.01 * model.mlp.balance

    train(watch, model, loss_of=loss_of)


@KINDS.add("gradient-cut-off")
def a_router_whose_weight_is_normalised_to_one(watch, broken):
    routed(watch, lambda best: best / (best + 1e-20) if broken else best)


@KINDS.add("gradient-cut-off")
def a_router_that_is_used_detached(watch, broken):
    routed(watch, lambda best: best.detach() if broken else best)


class Squared(torch.autograd.Function):
    """The square of ReLU, whose backward pass may forget a factor."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x.relu().square()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return ctx.factor * x.relu() * gradient, None


class Activation(nn.Module):
    def __init__(self, apply):
        super().__init__()
        self.apply_to = apply

    def forward(self, x):
        return self.apply_to(x)


def activated(watch, apply):
    model = Little(d=32)
    model.mlp = nn.Sequential(nn.Linear(32, 64), Activation(apply), nn.Linear(64, 32))
    train(watch, model)
    return model


@KINDS.add("wrong-backward")
def a_backward_pass_by_hand_forgets_a_factor(watch, broken):
    activated(watch, lambda x: Squared.apply(x, 1 if broken else 2))


class Product(torch.autograd.Function):
    """A matrix product that averages the gradient of its weights over the batch, where it should add up."""

    @staticmethod
    def forward(ctx, x, weight, averages):
        ctx.save_for_backward(x, weight)
        ctx.averages = averages
        return x @ weight.T

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        by_weight = gradient.flatten(0, -2).T @ x.flatten(0, -2)
        return gradient @ weight, by_weight / (len(x) if ctx.averages else 1), None


class ByHand(nn.Linear):
    averages = False

    def forward(self, x):
        return Product.apply(x, self.weight, self.averages)


@KINDS.add("wrong-backward")
def a_backward_pass_by_hand_averages(watch, broken):
    model = Little(d=32)
    model.mlp[0] = ByHand(32, model.mlp[0].out_features, bias=False)
    model.mlp[0].averages = broken
    train(watch, model)


def test_a_detached_tensor_on_the_way_is_no_healthy_loop(watch):
    activated(watch, lambda x: x * torch.sigmoid(x))
    assert check(watch.run_dir).verdict is Verdict.PASS
    activated(watch, lambda x: x.detach() * torch.sigmoid(x))
    found = check(watch.run_dir)
    assert found.verdict is Verdict.UNKNOWN
    assert found.findings[-1].question == "3.9"


class Smaller(torch.autograd.Function):
    """Hands on what it is given, and less of the gradient, as some do for one part of a model."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return 0.1 * gradient


def test_a_gradient_that_is_made_smaller_on_purpose_is_no_fault(watch):
    forward = Smaller.__dict__["forward"]
    activated(watch, lambda x: Smaller.apply(F.gelu(x)))
    assert check(watch.run_dir).verdict is Verdict.PASS
    assert Smaller.__dict__["forward"] is forward


def test_units_that_fire_or_do_not_have_no_slope_to_compare(watch):
    class Fires(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient / (1 + 3 * x.abs()) ** 2

    activated(watch, Fires.apply)
    assert check(watch.run_dir).verdict is Verdict.PASS


def by_hand(watch, steps, model=None):
    """Train, each step in an order of its own: `steps(loss, model, optimizer)`."""
    model = model or Little()
    optimizer, data = adamw(model), tokens()
    with watch(model, optimizer) as monitor:
        for step in range(16):
            inputs, targets, _ = batch_at(data, step)
            loss = cross_entropy(model(inputs), targets)
            steps(loss, model, optimizer)
            monitor.step(loss)


@KINDS.add("repeated-step")
def somebody_else_steps_too(watch, broken):
    def steps(loss, _model, optimizer):
        optimizer.zero_grad()
        loss.backward()
        for _ in range(1 + broken):
            optimizer.step()

    by_hand(watch, steps)


@KINDS.add("clip-after-step")
def clipping_comes_too_late(watch, broken):
    def steps(loss, model, optimizer):
        loss.backward()
        clip, step = partial(nn.utils.clip_grad_norm_, model.parameters(), 0.1), optimizer.step
        for do in (step, clip) if broken else (clip, step):
            do()
        optimizer.zero_grad()

    by_hand(watch, steps)


@KINDS.add("batch-mixing")
def a_norm_over_the_batch(watch, broken):
    class Normed(Little):
        def __init__(self):
            super().__init__()
            self.over = nn.BatchNorm1d(16) if broken else nn.GroupNorm(4, 16)

        def hidden(self, ids):
            x = super().hidden(ids)
            return self.over(x.flatten(0, 1)).view_as(x)

    train(watch, Normed())


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)


def answers(run_dir):
    """Return the verdicts by question."""
    return {finding.question: finding.verdict for finding in check(run_dir, whole=True).findings}


def test_vectors_behind_the_text_are_no_prefix(watch):
    """Each token stands at its own place there, so the targets are where they belong."""

    class Summed(Told):
        def forward(self, ids):
            x = torch.cat([self.tokens(ids), self.prefix.expand(len(ids), -1, -1)], 1)
            y = self.norm_1(x)
            future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            future[:, -PREFIX:] = False  # which every token may see
            x = x + self.attention(y, y, y, attn_mask=future, need_weights=False)[0]
            return self.head(self.norm(x + self.mlp(self.norm_2(x))))

    model = Summed()

    def loss_of(x, y):
        return cross_entropy(model(x), torch.cat([y, torch.full((len(x), PREFIX), -100)], 1))

    train(watch, model, loss_of=loss_of)
    assert check(watch.run_dir, whole=True).leaves == []
    assert answers(watch.run_dir)["1.4"] is Verdict.PASS


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_share_that_is_spread_is_the_one_given_whatever_the_weights(watch, smoothing):
    model, weights = Little(), torch.linspace(0.5, 2.0, V)

    how = {"label_smoothing": smoothing} if smoothing else {"weight": weights}
    train(watch, model, loss_of=lambda x, y: cross_entropy(model(x), y, **how), steps=2)
    assert evidence_of(watch.run_dir).start.target_spread == pytest.approx(smoothing, abs=0.01)


def test_scores_of_one_class_are_drawn_to_one_number_and_no_fault(watch):
    """So a critic learns that all of a batch are real."""
    model = Scorer()
    train(watch, model, loss_of=lambda x, y: (model(x) - 1).square().mean())
    assert answers(watch.run_dir)["1.9b"] is Verdict.PASS


def test_a_layer_with_as_many_outputs_as_there_are_blocks_is_no_router(watch):
    class Judged(Little):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
            self.value = nn.Linear(16, 3)

        def hidden(self, ids):
            x = super().hidden(ids)
            for block in self.blocks:
                x = x + block(x)
            self.felt = self.value(x)
            return x

    model = Judged()

    def loss_of(x, y):
        return cross_entropy(model(x), y) + model.felt.square().mean()

    train(watch, model, loss_of=loss_of, optimizer=adamw(model, lr=1e-3))
    assert answers(watch.run_dir)["3.7"] is Verdict.PASS


def test_a_step_that_makes_its_own_backward_pass_is_made_once(watch):
    """So does a trainer that hands its forward and backward pass to the optimizer."""

    def steps(_loss, model, optimizer):
        inputs, targets, _ = batch_at(tokens(), 0)

        def again():
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(again)

    by_hand(watch, steps)
    assert answers(watch.run_dir)["3.8"] is Verdict.PASS
