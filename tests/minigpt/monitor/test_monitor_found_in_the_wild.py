"""Kinds of mistakes from public bug reports, in loops of our own: named when broken, silent when fixed."""

import copy
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loops import T, V, batch_at, tokens
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, LambdaLR
from wild_loops import Little, adamw, cross_entropy, groups

from minigpt.diagnosis import check
from minigpt.diagnosis.trees.configuration.undeclared import UNDECLARED_QUESTIONS, wrong_by_itself
from minigpt.monitor import Monitor

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
STEPS = 24
KINDS = {}


def kind(*leaves):
    """Add a loop, `loop(watch, broken)`, and the leaves of which one must be named when it is broken."""

    def add(loop):
        KINDS[loop.__name__] = loop, leaves
        return loop

    return add


def train(watch, model, *, optimizer=None, loss_of=None, batches=None, steps=STEPS, after=None, **settings):
    """Train in the plainest way; `batches(step)` gives inputs and targets, (B, T) each."""
    optimizer, data = optimizer or adamw(model), tokens()
    loss_of = loss_of or (lambda x, y: cross_entropy(model(x), y))
    batches = batches or (lambda step: batch_at(data, step)[:2])
    with watch(model, optimizer, **settings) as monitor:
        for step in range(steps):
            loss = loss_of(*batches(step))
            loss.backward()
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
            if after:
                after(step, monitor)


@kind("double-softmax")
def softmax_in_the_model(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.softmax(-1) if broken else logits.log_softmax(-1)

    train(watch, Model())


@kind("double-softmax")
def softmax_in_the_loss(watch, broken):
    model = Little()
    squash = F.softmax if broken else F.log_softmax
    train(watch, model, loss_of=lambda x, y: cross_entropy(squash(model(x), -1), y))


@kind("double-softmax")
def likelihood_of_probabilities(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.softmax(-1) if broken else logits.log_softmax(-1)

    model = Model()
    train(watch, model, loss_of=lambda x, y: F.nll_loss(model(x).flatten(0, 1), y.flatten()))


@kind("double-softmax")
def likelihood_without_a_logarithm(watch, broken):
    model = Little()
    squash = F.softmax if broken else F.log_softmax
    train(watch, model, loss_of=lambda x, y: F.nll_loss(squash(model(x), -1).flatten(0, 1), y.flatten()))


@kind("double-softmax")
def sigmoid_in_the_model(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.sigmoid() if broken else logits

    train(watch, Model())


@kind("missing-log-softmax")
def likelihood_of_raw_logits(watch, broken):
    model = Little()
    squash = (lambda logits: logits) if broken else (lambda logits: logits.log_softmax(-1))
    train(watch, model, loss_of=lambda x, y: F.nll_loss(squash(model(x)).flatten(0, 1), y.flatten()))


def padded(step, pad, end=None, left=False):
    """Return rows of different lengths, and the same with what comes next; (B, T) each."""
    inputs, _, _ = batch_at(tokens(), step)
    lengths = torch.randint(6, T - 6, (len(inputs),), generator=torch.Generator().manual_seed(step))
    for row, length in zip(inputs, lengths.tolist(), strict=True):
        if left:
            row[: T - length] = pad
        else:
            row[length:] = pad
            if end is not None:
                row[length - 1] = end
    targets = torch.cat([inputs[:, 1:], inputs[:, -1:]], 1)
    return inputs, targets


@kind("targets-kind")
def padding_is_scored(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        return inputs, targets if broken else targets.masked_fill(targets == 310, -100)

    train(watch, Little(), batches=batches)


@kind("targets-kind")
def padding_on_the_left_is_scored(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310, left=True)
        return inputs, targets if broken else targets.masked_fill(inputs == 310, -100)

    train(watch, Little(), batches=batches)


@kind("targets-kind")
def the_end_is_hidden_where_layers_are_as_wide_as_the_vocabulary(watch, broken):
    class Wide(Little):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Sequential(nn.Linear(16, V), nn.GELU(), nn.Linear(V, 16))

    def batches(step):
        inputs, targets = padded(step, pad=310)
        hidden = targets == 310 if broken else (inputs == 310) & (targets == 310)
        return inputs, targets.masked_fill(hidden, -100)

    model = Wide()
    model.config = SimpleNamespace(pad_token_id=310, eos_token_id=310)
    train(watch, model, batches=batches)


@kind("targets-kind")
def labels_are_padded_with_a_token_of_the_vocabulary(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        return inputs, targets.masked_fill(targets == 310, 7 if broken else -100)

    train(watch, Little(), batches=batches)


@kind("target-shift")
def targets_are_the_tokens_before(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return (targets, inputs) if broken else (inputs, targets)

    train(watch, Little(), batches=batches)


@kind("targets-kind")
def the_end_is_masked_with_the_padding(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        hidden = targets == 310 if broken else (inputs == 310) & (targets == 310)
        return inputs, targets.masked_fill(hidden, -100)

    model = Little()
    model.config = SimpleNamespace(pad_token_id=310, eos_token_id=310)
    train(watch, model, batches=batches)


@kind("targets-kind")
def the_token_that_ends_a_text_is_masked(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310, end=311)
        hidden = (targets == 310) | (targets == 311) if broken else targets == 310
        return inputs, targets.masked_fill(hidden, -100)

    train(watch, Little(), batches=batches)


@kind("targets-kind")
def a_word_is_hidden(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, targets.masked_fill(targets == 32, -100) if broken else targets

    train(watch, Little(), batches=batches)


@kind("parameters-outside-model", "frozen-parameters")
def blocks_in_a_list(watch, broken):
    class Model(Little):
        def __init__(self):
            super().__init__()
            more = [nn.Linear(16, 16) for _ in range(2)]
            self.more = more if broken else nn.ModuleList(more)

        def hidden(self, ids):
            x = super().hidden(ids)
            for layer in self.more:
                x = x + layer(x)
            return x

    train(watch, Model())


@kind("parameters-outside-model", "frozen-parameters")
def head_replaced_after_the_optimizer(watch, broken):
    model = Little()
    optimizer = adamw(model)
    model.head = nn.Linear(16, V, bias=False)
    nn.init.normal_(model.head.weight, std=0.02)
    train(watch, model, optimizer=optimizer if broken else adamw(model))


class Positions(Little):
    """Positions counted along an axis of choice."""

    rows_counted = False

    def hidden(self, ids):
        at = torch.arange(len(ids))[:, None] if self.rows_counted else torch.arange(ids.shape[1])
        x = self.tokens(ids) + self.positions(at)
        y = self.norm_1(x)
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        x = x + self.attention(y, y, y, attn_mask=future, need_weights=False)[0]
        return self.norm(x + self.mlp(self.norm_2(x)))


@kind("batch-mixing")
def positions_of_the_rows(watch, broken):
    model = Positions()
    model.rows_counted = broken
    train(watch, model)


@kind("batch-mixing")
def a_mean_over_the_batch(watch, broken):
    class Model(Little):
        def hidden(self, ids):
            x = super().hidden(ids)
            return x + 0.1 * x.mean(0 if broken else -1, keepdim=True)

    train(watch, Model())


@kind("future-leak")
def a_mask_that_gives_way(watch, broken):
    class Model(Little):
        calls = 0

        def hidden(self, ids):
            self.calls += self.training
            x = super().hidden(ids)
            return x + x.roll(-1, 1) if broken and self.calls > 8 else x

    train(watch, Model())


class Dropping(Little):
    """A little model with dropout."""

    def __init__(self, rate=0.2):
        super().__init__()
        self.drop = nn.Dropout(rate)

    def hidden(self, ids):
        return self.drop(super().hidden(ids))


def evaluate(model, monitor, off=True):
    """Evaluate, with dropout off or not, and come back to training mode."""
    model.train(not off)
    with torch.no_grad():
        inputs, targets, _ = batch_at(tokens(), 999)
        value = cross_entropy(model(inputs), targets).item()
    model.train()
    monitor.note(val_loss=value)


@kind("mode-left-on")
def evaluation_mode_is_left_on(watch, broken):
    model = Dropping()

    def after(step, monitor):
        if step % 8 == 7:
            evaluate(model, monitor)
            model.train(not broken)

    train(watch, model, after=after)


@kind("mode-left-on")
def dropout_while_evaluating(watch, broken):
    model = Dropping()

    def after(step, monitor):
        if step % 8 == 7:
            evaluate(model, monitor, off=not broken)

    train(watch, model, after=after)


@kind("repeated-batch")
def the_same_order_in_each_epoch(watch, broken):
    def batches(step):
        epoch, at = divmod(step, 6)
        order = torch.randperm(48, generator=torch.Generator().manual_seed(0 if broken else epoch))
        rows = order[at * 8 : at * 8 + 8]
        data = tokens()
        windows = torch.stack([data[40 * row : 40 * row + T + 1] for row in rows.tolist()])
        return windows[:, :-1], windows[:, 1:]

    train(watch, Little(), batches=batches)


@kind("repeated-batch")
def a_loader_that_starts_again(watch, broken):
    train(watch, Little(), batches=lambda step: batch_at(tokens(), 0 if broken else step)[:2])


@kind("repeated-batch")
def one_batch_for_all_micro_batches(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            for _micro in range(3):
                x, y, _ = batch_at(tokens(), step if broken else next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
            optimizer.step()
            optimizer.zero_grad()


@kind("lost-updates")
def weights_in_bfloat16(watch, broken):
    model = Little(d=32)
    model = model.bfloat16() if broken else model
    train(watch, model, optimizer=adamw(model, lr=2e-5), steps=40)


@kind("lost-accumulation")
def cleared_at_each_micro_batch(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for _step in range(STEPS):
            for _micro in range(3):
                if broken:
                    optimizer.zero_grad()
                x, y, _ = batch_at(tokens(), next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
            optimizer.step()
            if not broken:
                optimizer.zero_grad()


@kind("no-optimizer-step")
def nobody_steps(watch, broken):
    model = Little()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            x, y, _ = batch_at(tokens(), step)
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            if not broken:
                optimizer.step()
            monitor.step(loss)


@kind("scaler-bypassed")
def a_step_beside_the_scaler(watch, broken):
    model, scaler = Little(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            x, y, _ = batch_at(tokens(), step)
            loss = cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            if broken:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            monitor.step(loss)
            optimizer.zero_grad()


@kind("schedule-step-unit")
def a_scheduler_stepped_for_each_micro_batch(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4 * STEPS)
    with watch(model, optimizer) as monitor:
        for _step in range(STEPS):
            for _micro in range(3):
                x, y, _ = batch_at(tokens(), next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
                if broken:
                    schedule.step()
            optimizer.step()
            optimizer.zero_grad()
            if not broken:
                schedule.step()


@kind("schedule-backwards")
def a_decay_that_counts_up(watch, broken):
    model, steps = Little(), 120
    optimizer = adamw(model)

    def turn(step, _monitor):
        for group in optimizer.param_groups:
            group["lr"] = 3e-4 * ((step + 2) if broken else (steps - step - 1)) / steps

    turn(-1, None)
    train(watch, model, optimizer=optimizer, steps=steps, after=turn)


@kind("lost-optimizer-state")
def resumed_without_moments(watch, broken):
    model = Little()
    optimizer = adamw(model)
    for step in range(8):
        x, y, _ = batch_at(tokens(), step)
        cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    train(watch, model, optimizer=adamw(model) if broken else optimizer, starts_from="step 8 of the same run")


@kind("frozen-parameters")
def both_halves_of_an_adapter_at_zero(watch, broken):
    class Adapted(Little):
        def __init__(self):
            super().__init__()
            self.requires_grad_(False)
            self.down, self.up = nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False)
            nn.init.zeros_(self.up.weight)
            if broken:
                nn.init.zeros_(self.down.weight)

        def hidden(self, ids):
            x = super().hidden(ids)
            return x + self.up(self.down(x))

    model = Adapted()
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    train(
        watch, model, optimizer=torch.optim.AdamW(groups(model), lr=3e-3), frozen=frozen, starts_from="a base"
    )


@kind("init-scale")
def a_tied_table_that_is_too_large(watch, broken):
    model = Little(d=32)
    model.head.weight = model.tokens.weight
    nn.init.normal_(model.tokens.weight, std=2.0 if broken else 0.02)
    train(watch, model)


@kind("init-scale")
def positions_that_drown_the_tokens(watch, broken):
    model = Little()
    nn.init.normal_(model.positions.weight, std=1.0 if broken else 0.02)
    train(watch, model)


@kind("lr-too-high")
def a_rate_no_model_can_bear(watch, broken):
    model = Little(d=32)
    train(watch, model, optimizer=adamw(model, lr=0.5 if broken else 3e-3), steps=220)


@kind("parameters-outside-model", "frozen-parameters")
def a_table_made_longer_after_the_optimizer(watch, broken):
    model = Little()
    table = nn.Embedding(V + 5, model.tokens.weight.shape[1])
    nn.init.normal_(table.weight, std=0.02)
    optimizer = adamw(model) if broken else None
    model.tokens = table
    train(watch, model, optimizer=optimizer, vocab_size=V)


@kind("weight-mean")
def weights_drawn_from_zero_upwards(watch, broken):
    model = Little()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, 0.0 if broken else -0.03, 0.03)
    train(watch, model)


@kind("shuffled-targets")
def logits_viewed_where_a_transpose_belongs(watch, broken):
    model = Little()

    def loss_of(inputs, targets):
        logits = model(inputs)
        if broken:
            return F.cross_entropy(logits.view(len(inputs), V, -1), targets)
        return F.cross_entropy(logits.transpose(1, 2), targets)

    train(watch, model, loss_of=loss_of)


@kind("shuffled-targets")
def classes_in_the_middle_flattened_as_if_last(watch, broken):
    model = Little()

    def loss_of(inputs, targets):
        logits = model(inputs).transpose(1, 2)
        return (
            F.cross_entropy(logits.reshape(-1, V), targets.flatten())
            if broken
            else F.cross_entropy(logits, targets)
        )

    train(watch, model, loss_of=loss_of)


@kind("shuffled-targets")
def rows_of_inputs_and_targets_in_two_orders(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, targets.roll(1, 0) if broken else targets

    train(watch, Little(), batches=batches)


@kind("base-lr-zero")
def one_group_that_never_learns(watch, broken):
    model = Little()
    many, few = groups(model)
    optimizer = torch.optim.AdamW([many, few | {"lr": 0.0 if broken else 1e-3}], lr=1e-3)
    train(watch, model, optimizer=optimizer, steps=110)


@kind("writes-outside-optimizer")
def an_average_that_is_not_taken_back(watch, broken):
    model = Little()
    average = copy.deepcopy(model)

    def after(step, _monitor):
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
        if step == 20:
            own = copy.deepcopy(model.state_dict())
            model.load_state_dict(average.state_dict())
            model.load_state_dict(average.state_dict() if broken else own)

    train(watch, model, after=after)


@kind("writes-outside-optimizer")
def weights_that_go_back_without_their_moments(watch, broken):
    model = Little()
    optimizer = adamw(model)
    kept = {}

    def after(step, _monitor):
        if step == 10:
            kept.update(copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()}))
        if step == 20:
            model.load_state_dict(kept["model"])
            if not broken:  # a whole step back is no write
                optimizer.load_state_dict(kept["optimizer"])

    train(watch, model, optimizer=optimizer, steps=30, after=after)


def test_a_checkpoint_of_which_nothing_was_loaded_is_no_health(watch):
    trained = Little()
    train(watch, trained, optimizer=adamw(trained, lr=1e-2), steps=60)
    verdicts = []
    for prefix in ("module.", ""):
        model = Little()
        state = {prefix + name: value for name, value in trained.state_dict().items()}
        model.load_state_dict(state, strict=False)
        train(watch, model, starts_from="a checkpoint")
        findings = {finding.question: finding for finding in check(watch.run_dir, whole=True).findings}
        verdicts.append(findings["1.1b"].verdict)
    assert verdicts == ["unknown", "pass"]


class Forgetful(Little):
    """A little model whose dropout is a function call, in evaluation mode too, or not."""

    heeds_the_mode = True

    def forward(self, ids):
        on = self.training or not self.heeds_the_mode
        return F.dropout(super().forward(ids), 0.2, training=on)


@kind("mode-left-on")
def dropout_called_as_a_function(watch, broken):
    model = Forgetful()
    model.heeds_the_mode = not broken

    def after(step, monitor):
        if step % 8 == 7:
            model.eval()
            with torch.no_grad():
                inputs, targets, _ = batch_at(tokens(), step)
                monitor.note(val_loss=cross_entropy(model(inputs), targets).item())
            model.train()

    train(watch, model, after=after)


@pytest.fixture
def watch(tmp_path):
    """Return what watches a model and an optimizer, in a folder of its own."""
    folders = count()

    def watched(model, optimizer, **settings):
        watched.run_dir = tmp_path / f"run-{next(folders)}"
        return Monitor(model, optimizer, **{"vocab_size": V, "run_dir": watched.run_dir} | settings)

    return watched


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    loop, leaves = KINDS[name]
    loop(watch, True)
    found = check(watch.run_dir)
    assert found.leaf in leaves, (found.leaf, found.verdict)
    loop(watch, False)
    found = check(watch.run_dir, whole=True)
    assert found.leaves == []


def rates_of(schedule, steps=200):
    """Return the rates of a schedule of torch, (steps,), stepped after each update."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    made, rates = schedule(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return np.arange(steps), np.array(rates)


@pytest.mark.parametrize(
    ("schedule", "leaf"),
    [
        (lambda o: CosineAnnealingLR(o, 10), "schedule-step-unit"),
        (lambda o: CosineAnnealingLR(o, 200), None),
        (lambda o: CosineAnnealingWarmRestarts(o, 25), None),
        (lambda o: CyclicLR(o, 1e-4, 1e-3, step_size_up=20), None),
        (lambda o: LambdaLR(o, lambda n: float(min(1, n // 60))), "lr-discontinuous"),
        (lambda o: LambdaLR(o, lambda n: min(1.0, n / 60)), None),
    ],
)
def test_a_schedule_past_its_end_or_with_a_leap_from_zero_is_told_from_cycles_and_ramps(schedule, leaf):
    (question,) = UNDECLARED_QUESTIONS
    assert wrong_by_itself(*rates_of(schedule), question.thresholds)[0] == leaf
