"""Mistakes in model and modes, from public bug reports: named when broken, silent when fixed."""

import pytest
import torch
import torch.nn.functional as F
from loops import T, V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Dropping, Little, adamw, cross_entropy, groups

from minigpt.diagnosis import check

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


@KINDS.add("parameters-outside-model", "frozen-parameters")
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


@KINDS.add("parameters-outside-model", "frozen-parameters")
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


@KINDS.add("batch-mixing")
def positions_of_the_rows(watch, broken):
    model = Positions()
    model.rows_counted = broken
    train(watch, model)


@KINDS.add("batch-mixing")
def a_mean_over_the_batch(watch, broken):
    class Model(Little):
        def hidden(self, ids):
            x = super().hidden(ids)
            return x + 0.1 * x.mean(0 if broken else -1, keepdim=True)

    train(watch, Model())


@KINDS.add("batch-mixing")
def attention_among_the_rows_alone(watch, broken):
    """So each place sees the same place of other rows, and none before it."""

    class Model(Little):
        def hidden(self, ids):
            x = self.tokens(ids)
            seen = x.transpose(0, 1) if broken else x
            future = torch.ones(seen.shape[1], seen.shape[1], dtype=torch.bool).triu(1)
            seen = self.attention(seen, seen, seen, attn_mask=future, need_weights=False)[0]
            return self.norm(x + (seen.transpose(0, 1) if broken else seen))

    train(watch, Model(), frozen=["positions", "mlp", "norm_"])


@KINDS.add("future-leak")
def a_mask_that_gives_way(watch, broken):
    class Model(Little):
        calls = 0

        def hidden(self, ids):
            self.calls += self.training
            x = super().hidden(ids)
            return x + x.roll(-1, 1) if broken and self.calls > 8 else x

    train(watch, Model())


def evaluate(model, monitor, off=True):
    """Evaluate, with dropout off or not, and come back to training mode."""
    model.train(not off)
    with torch.no_grad():
        inputs, targets, _ = batch_at(tokens(), 999)
        value = cross_entropy(model(inputs), targets).item()
    model.train()
    monitor.note(val_loss=value)


@KINDS.add("mode-left-on")
def evaluation_mode_is_left_on(watch, broken):
    model = Dropping()

    def after(step, monitor):
        if step % 8 == 7:
            evaluate(model, monitor)
            model.train(not broken)

    train(watch, model, after=after)


@KINDS.add("mode-left-on")
def dropout_while_evaluating(watch, broken):
    model = Dropping()

    def after(step, monitor):
        if step % 8 == 7:
            evaluate(model, monitor, off=not broken)

    train(watch, model, after=after)


@KINDS.add("frozen-parameters")
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


@KINDS.add("init-scale")
def a_tied_table_that_is_too_large(watch, broken):
    model = Little(d=32)
    model.head.weight = model.tokens.weight
    nn.init.normal_(model.tokens.weight, std=2.0 if broken else 0.02)
    train(watch, model)


@KINDS.add("init-scale")
def positions_that_drown_the_tokens(watch, broken):
    model = Little()
    nn.init.normal_(model.positions.weight, std=1.0 if broken else 0.02)
    train(watch, model)


@KINDS.add("parameters-outside-model", "frozen-parameters")
def a_table_made_longer_after_the_optimizer(watch, broken):
    model = Little()
    table = nn.Embedding(V + 5, model.tokens.weight.shape[1])
    nn.init.normal_(table.weight, std=0.02)
    optimizer = adamw(model) if broken else None
    model.tokens = table
    train(watch, model, optimizer=optimizer, vocab_size=V)


@KINDS.add("weight-mean")
def weights_drawn_from_zero_upwards(watch, broken):
    model = Little()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, 0.0 if broken else -0.03, 0.03)
    train(watch, model)


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


@KINDS.add("mode-left-on")
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


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)
