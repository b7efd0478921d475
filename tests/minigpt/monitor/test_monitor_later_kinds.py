"""Mistakes that need some steps to be told, from public bug reports: named when broken, silent when fixed."""

import pytest
import torch
import torch.nn.functional as F
from loops import B, T, V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()
MASK, LONG = V - 1, 240


@KINDS.add("frozen-parameters")
def a_reentrant_checkpoint_behind_a_frozen_table(watch, broken):
    class Model(Little):
        def hidden(self, ids):
            x = self.tokens(ids) + self.positions(torch.arange(T))
            return self.norm(torch.utils.checkpoint.checkpoint(self.block, x, use_reentrant=broken))

        def block(self, x):
            y = self.norm_1(x)
            future = torch.ones(T, T, dtype=torch.bool).triu(1)
            x = x + self.attention(y, y, y, attn_mask=future, need_weights=False)[0]
            return x + self.mlp(self.norm_2(x))

    model = Model()
    for table in (model.tokens, model.positions):
        table.requires_grad_(False)  # on purpose, and so the optimizer is not given them
    learning = [p for p in model.parameters() if p.requires_grad]
    train(watch, model, optimizer=torch.optim.AdamW(learning, lr=1e-3))


@KINDS.add("targets-kind")
def words_that_nobody_masked_are_scored(watch, broken):
    data, dice = tokens(), torch.Generator().manual_seed(3)

    def batches(step):
        words = batch_at(data, step)[0]
        hidden = torch.rand(words.shape, generator=dice) < 0.15
        plain = torch.rand(words.shape, generator=dice) < 0.1  # of those, left as they are
        inputs = torch.where(hidden & ~plain, MASK, words)
        return inputs, words if broken else torch.where(hidden, words, -100)

    train(watch, Little(past_only=False), batches=batches)


class Caching(Little):
    """Attention that also reads the keys of the segment before; the mask's corner is one of choice."""

    upper_left = False

    def forward(self, ids, before):
        x = self.tokens(ids) + self.positions(torch.arange(T))
        y = self.norm_1(x)
        keys = y if before is None else torch.cat([before, y], 1)
        old = keys.shape[1] - T
        future = torch.ones(T, keys.shape[1], dtype=torch.bool).triu(
            1 if self.upper_left and old else old + 1
        )
        x = x + self.attention(y, keys, keys, attn_mask=future, need_weights=False)[0]
        return self.logits(self.norm(x + self.mlp(self.norm_2(x)))), y.detach()


@KINDS.add("past-unseen")
def cached_keys_and_a_mask_in_the_wrong_corner(watch, broken):
    model, lanes = Caching(), tokens()[: B * 40 * T].view(B, -1)
    model.upper_left = broken
    kept = [None]

    def loss_of(x, y):
        logits, kept[0] = model(x, kept[0])
        return cross_entropy(logits, y)

    def batches(step):
        return lanes[:, step * T : step * T + T], lanes[:, step * T + 1 : step * T + T + 1]

    train(watch, model, loss_of=loss_of, batches=batches)


class OwnAdam(torch.optim.Optimizer):
    """Adam with its decay beside the update, and not times the rate where it is broken."""

    def __init__(self, parameters, lr, weight_decay, broken):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.broken = broken

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                state["step"] += 1
                state["exp_avg"].lerp_(p.grad, 0.1)
                state["exp_avg_sq"].lerp_(p.grad.square(), 0.05)
                first, second = 1 - 0.9 ** state["step"], 1 - 0.95 ** state["step"]
                taken = group["weight_decay"] * (1 if self.broken else group["lr"])
                update = state["exp_avg"] / first / ((state["exp_avg_sq"] / second).sqrt() + 1e-8)
                p.mul_(1 - taken if p.ndim > 1 else 1).sub_(group["lr"] * update)


@KINDS.add("decay-too-strong")
def a_decay_that_forgets_the_rate(watch, broken):
    model = Little()
    train(watch, model, optimizer=OwnAdam(model.parameters(), 1e-3, 0.1, broken), steps=60)


@KINDS.add("lr-too-low")
def a_schedule_that_returns_the_rate_for_a_factor(watch, broken):
    model = Little()
    optimizer = adamw(model)
    rate = optimizer.param_groups[0]["lr"] = 3e-3
    factor = rate if broken else 1.0
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor * min(1, (step + 1) / 10))
    train(watch, model, optimizer=optimizer, steps=LONG, after=lambda *_: schedule.step())


@KINDS.add("schedule-step-unit")
def a_warm_up_stepped_once_an_epoch(watch, broken):
    model = Little()
    optimizer = adamw(model)
    rise = 20 if broken else 40
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / rise))

    def after(step, _monitor):
        if not broken or step % 40 == 39:
            schedule.step()

    train(watch, model, optimizer=optimizer, steps=160, after=after)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(kind, watch):
    hold(kind, watch)


def test_a_run_that_goes_on_without_saying_so_is_no_fault(watch):
    model = Little()
    train(watch, model, steps=LONG)
    train(watch, model)  # by another optimizer, which knows nothing of what was learnt
    found = check(watch.run_dir)
    assert found.leaf is None and "not-untrained" in found.watch


def test_a_gradient_that_is_multiplied_on_its_way_is_not_blamed_on_the_weights(watch):
    class Multiplied(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return 1e5 * gradient

    class Model(Little):
        def hidden(self, ids):
            return self.norm(Multiplied.apply(super().hidden(ids)))

    train(watch, Model())
    found = check(watch.run_dir)
    assert found.leaf is None and found.end.question == "1.2" and found.end.values["kind"] == "at-chance"


def test_a_loss_that_stands_still_to_the_last_digit_is_not_healthy(watch):
    model = Little()

    def loss_of(x, y):  # preferences, and the model is its own reference
        log_probs = model(x).log_softmax(-1)
        better, worse = (log_probs.gather(-1, t[..., None]).sum((1, 2)) for t in (y, (y + 1) % V))
        margin = (better - worse) - (better - worse).detach()
        return -F.logsigmoid(0.1 * margin).mean()

    train(watch, model, loss_of=loss_of)
    found = check(watch.run_dir)
    assert found.verdict is Verdict.UNKNOWN and found.end.values["kind"] == "still", found.end


def test_a_policy_may_take_several_steps_with_one_batch(watch):
    model, data = Little(), tokens()
    before = {}

    def loss_of(x, y):
        chosen = model(x).log_softmax(-1).gather(-1, y[..., None])[..., 0]
        old = before.setdefault(x.sum().item(), chosen.detach())
        gains = torch.linspace(-1, 1.1, B)[:, None]
        return -((chosen - old).exp() * gains).mean()

    train(watch, model, loss_of=loss_of, batches=lambda step: batch_at(data, step // 2)[:2])
    assert check(watch.run_dir, whole=True).leaves == []


def test_what_a_network_hands_on_from_step_to_step_is_chosen_by_rows_too(watch):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.cells = nn.Embedding(V, 16), nn.GRU(16, 16, batch_first=True)
            self.head = nn.Linear(16, V)

        def forward(self, ids, state):
            x, state = self.cells(self.tokens(ids), state)
            return self.head(x), state.detach()

    model, kept = Recurrent(), [torch.zeros(1, B, 16)]

    def loss_of(x, y):
        logits, kept[0] = model(x, kept[0])
        return cross_entropy(logits, y)

    train(watch, model, loss_of=loss_of)
    told = {f.question: f.verdict for f in check(watch.run_dir, whole=True).findings}
    assert told["1.9"] is told["1.5b"] is told["1.5"] is Verdict.PASS
