"""More kinds of mistakes from public bug reports, in our own loops: named when broken, silent when fixed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loops import T, V, batch_at, tokens
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
)
from wild_kinds import Kinds, hold, train
from wild_loops import Dropping, Little, adamw

from minigpt.diagnosis import check
from minigpt.diagnosis.trees.configuration.undeclared import UNDECLARED_QUESTIONS, wrong_by_itself
from minigpt.monitor.ranks import same_data

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


@KINDS.add("mode-left-on")
def evaluated_before_the_first_step_and_left_so(watch, broken):
    model = Dropping()

    def before(step, monitor):
        if step == 0:
            model.eval()
            with torch.no_grad():
                model(batch_at(tokens(), 999)[0])
            model.train(not broken)

    train(watch, model, before=before)


@KINDS.add("dropout-too-high")
def a_share_to_keep_is_given_as_one_to_drop(watch, broken):
    train(watch, Dropping(0.9 if broken else 0.1))


@KINDS.add("shared-layers")
def one_layer_of_many_names(watch, broken):
    class Model(Little):
        def __init__(self):
            super().__init__()
            layer = nn.Linear(16, 16)
            self.more = nn.ModuleList([layer if broken else nn.Linear(16, 16) for _ in range(3)])

        def hidden(self, ids):
            x = super().hidden(ids)
            for layer in self.more:
                x = x + layer(x)
            return x

    train(watch, Model())


@KINDS.add("decay-too-strong")
def decay_takes_a_hundredth_in_each_step(watch, broken):
    model = Little()
    train(
        watch, model, optimizer=torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=[0.1, 20][broken])
    )


@KINDS.add("decay-too-strong")
def decay_inside_the_gradient_of_adam(watch, broken):
    model = Little()
    decay = 3.0 if broken else 1e-5
    train(watch, model, optimizer=torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=decay))


@KINDS.add("targets-kind")
def targets_rolled_round(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, inputs.roll(-1, 1) if broken else targets

    train(watch, Little(), batches=batches)


@KINDS.add("targets-kind")
def the_index_of_padding_is_a_word(watch, broken):
    model = Little()
    word = int(torch.bincount(tokens()).argmax())
    model.tokens = nn.Embedding(V, 16, padding_idx=word if broken else None)
    nn.init.normal_(model.tokens.weight, std=0.02)
    train(watch, model)


@KINDS.add("degenerate-data")
def nearly_every_word_is_unknown(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        known = torch.arange(V) % 23 == 0
        if broken:
            inputs, targets = (ids.masked_fill(~known[ids], 0) for ids in (inputs, targets))
        return inputs, targets

    train(watch, Little(), batches=batches)


@KINDS.add("ids-wrapped")
def ids_in_one_byte(watch, broken):
    def batches(step):
        ids = torch.randint(0, 900, (8, T + 1), generator=torch.Generator().manual_seed(step))
        ids = ids.to(torch.uint8).long() if broken else ids
        return ids[:, :-1], ids[:, 1:]

    train(watch, Little(rows=900), batches=batches, vocab_size=900)


@KINDS.add("activation-on-logits")
def logits_cut_off_at_zero(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return F.relu(logits) if broken else logits

    train(watch, Model())


@KINDS.add("targets-kind")
def words_are_masked_for_a_model_that_sees_the_past(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        if broken:
            hidden = torch.rand(targets.shape, generator=torch.Generator().manual_seed(step)) < 0.2
            inputs, targets = inputs.clone(), targets.clone()
            inputs[:, 1:] = inputs[:, 1:].masked_fill(hidden[:, :-1], V - 1)
            targets = targets.masked_fill(~hidden, -100)
        return inputs, targets

    train(watch, Little(), batches=batches)


@KINDS.add("repeated-batch")
def each_of_two_workers_loads_everything(watch, broken):
    def batches(step):
        return batch_at(tokens(), step // 2 if broken else step)[:2]

    train(watch, Little(), batches=batches, steps=40)


@KINDS.add("loss-mask-empty")
def some_batches_have_no_target(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, targets.masked_fill(torch.tensor(broken and step % 9 == 5), -100)

    train(watch, Little(), batches=batches)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)


def test_rows_that_begin_and_end_with_one_token_are_not_rolled(watch):
    def batches(step):
        ids = torch.cat(batch_at(tokens(), step)[:2], 1)[:, : T + 1].clone()
        ids[:, 0] = ids[:, -1] = 5
        return ids[:, :-1], ids[:, 1:]

    train(watch, Little(), batches=batches)
    assert check(watch.run_dir, whole=True).leaves == []


def test_layers_that_share_a_head_or_some_of_their_weights_are_layers(watch):
    class Model(Little):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.ModuleDict({"own": nn.Linear(16, 16)}) for _ in range(3))
            for layer in self.layers:
                layer["table"] = self.tokens
            self.layers[0]["own"] = self.layers[1]["own"]

        def hidden(self, ids):
            x = super().hidden(ids)
            for layer in self.layers:
                x = x + layer["own"](x)
            return x

    train(watch, Model())
    assert check(watch.run_dir, whole=True).leaves == []


@pytest.mark.parametrize(
    ("own", "theirs", "share"),
    [
        ([[1], [2], [3], [4], [5]], [[1], [2], [3], [4], [5]], 1.0),
        ([[1], [2], [3], [4], [5]], [[6], [7], [8], [9], [5]], 0.2),
        ([[1], [2]], [[1], [2]], None),
    ],
)
def test_two_processes_with_the_same_data(own, theirs, share):
    assert same_data(own, theirs) == share


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
        (lambda o: ExponentialLR(o, 0.9), "schedule-step-unit"),
        (lambda o: ExponentialLR(o, 0.97), None),
        (lambda o: MultiStepLR(o, [20, 40, 60]), "schedule-step-unit"),
        (lambda o: MultiStepLR(o, [100, 150]), None),
        (lambda o: CosineAnnealingLR(o, 10), "schedule-step-unit"),
        (lambda o: CosineAnnealingLR(o, 200), None),
        (lambda o: LambdaLR(o, lambda n: min(1.0, n // 50 / 40)), "schedule-step-unit"),
        (lambda o: LambdaLR(o, lambda n: min(1.0, (n // 50 + 1) / 4)), None),
        (lambda o: MultiStepLR(o, [30, 50, 70, 95, 120], 0.25), None),
        (lambda o: LambdaLR(o, lambda n: float(min(1, n // 60))), "lr-discontinuous"),
        (lambda o: LambdaLR(o, lambda n: min(1.0, n / 60)), None),
        (lambda o: LambdaLR(o, lambda n: 1.0 if n == 0 else 5e-4), None),
        (lambda o: LambdaLR(o, lambda n: min(1.0, (n % 50 + 1) / 20)), "lr-discontinuous"),
        (lambda o: CyclicLR(o, 1e-5, 1e-3, step_size_up=20), None),
        (lambda o: CosineAnnealingWarmRestarts(o, 25), None),
        (lambda o: CosineAnnealingWarmRestarts(o, 40), None),
    ],
)
def test_a_schedule_that_leaps_ends_too_soon_or_begins_again_is_told_from_cycles_and_ramps(schedule, leaf):
    (question,) = UNDECLARED_QUESTIONS
    assert wrong_by_itself(*rates_of(schedule), question.thresholds)[0] == leaf


def test_a_schedule_that_is_not_restored_begins_with_a_warm_up_again(watch):
    def shape(step):
        return min(1.0, (step + 1) / 10) * (1 - step / 100)

    leaves = []
    for begins_at in (0, 30):
        model = Little()
        optimizer = adamw(model, lr=1e-3)
        schedule = LambdaLR(optimizer, lambda step, begins_at=begins_at: shape(step + begins_at))
        train(
            watch,
            model,
            optimizer=optimizer,
            before=lambda step, _, schedule=schedule: step and schedule.step(),
            schedule=lambda step: 1e-3 * shape(step + 30),
        )
        leaves.append(check(watch.run_dir).leaf)
    assert leaves == ["lr-discontinuous", None]


def test_a_few_batches_in_another_order_each_epoch_are_no_fault(watch):
    def batches(step):
        order = torch.randperm(10, generator=torch.Generator().manual_seed(step // 10))
        return batch_at(tokens(), int(order[step % 10]))[:2]

    train(watch, Little(), batches=batches, steps=60)
    (finding,) = [found for found in check(watch.run_dir, whole=True).findings if found.question == "4.4"]
    assert finding.leaf is None


class Scoring(Little):
    """A little model that makes its attention itself, with a factor on the scores."""

    factor = 1.0

    def __init__(self):
        super().__init__()
        del self.attention

    def hidden(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(T))
        y = self.norm_1(x)
        scores = (y @ y.transpose(1, 2)) * self.factor
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -torch.inf)
        return self.norm(x + self.mlp(self.norm_2(x + scores.softmax(-1) @ y)))


@pytest.mark.parametrize(("factor", "leaf"), [(0.25, None), (200.0, "attention-logit-growth")])
def test_scores_that_saturate_attention_are_named_in_a_model_of_others(factor, leaf, watch):
    model = Scoring()
    model.factor = factor
    train(watch, model)
    assert check(watch.run_dir).leaf == leaf
