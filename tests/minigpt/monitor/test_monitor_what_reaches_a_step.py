"""From a batch to a step: one token that is most of the text, too few steps, clipping while scaled."""

import pytest
import torch
from loops import V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


def kinds_of(run_dir):
    """Return the kind of each question that is unknown."""
    findings = check(run_dir, whole=True).findings
    return {f.question: f.values.get("kind") for f in findings if f.verdict is Verdict.UNKNOWN}


@pytest.mark.parametrize("share, kind", [(0.82, "commonest"), (0.5, None)])
def test_one_token_that_is_most_of_the_text_is_odd(share, kind, watch):
    data = tokens().clone()
    unknown = torch.rand(len(data), generator=torch.Generator().manual_seed(3)) < share
    data[unknown] = 0
    model = Little()
    train(watch, model, batches=lambda step: batch_at(data, step)[:2])
    assert kinds_of(watch.run_dir).get("1.6") == kind


@pytest.mark.parametrize("wide", [True, False])
def test_ids_that_are_read_in_too_narrow_a_type_are_odd(wide, watch):
    data = tokens().numpy()
    read = torch.from_numpy((data.astype("<u2") if wide else data.astype("u1")).view("u1").astype("int64"))
    train(watch, Little(), batches=lambda step: batch_at(read, step)[:2])
    assert kinds_of(watch.run_dir).get("1.6") == ("interleaved" if wide else None)


class Placed(Little):
    """Adds a row for each place, whose numbers may come from outside."""

    def __init__(self):
        super().__init__()
        self.pos_table = nn.Embedding(32, 16)

    def forward(self, ids, position_ids=None, same=False):
        places = torch.arange(ids.shape[1]).expand_as(ids) if position_ids is None else position_ids
        self.places = torch.ones_like(ids) if same else places
        return super().forward(ids)

    def hidden(self, ids):
        return super().hidden(ids) + self.pos_table(self.places)


@pytest.mark.parametrize("how", ["table", "argument", None])
def test_places_that_are_all_the_same_are_odd(how, watch):
    model = Placed()

    def loss_of(x, y):
        mask = (torch.arange(x.shape[1]) < x.shape[1] - 2).long().expand_as(x)  # as if the row were filled up
        told = {"table": {"same": True}, "argument": {"position_ids": mask}, None: {}}[how]
        return cross_entropy(model(x, **told), y)

    train(watch, model, loss_of=loss_of)
    assert kinds_of(watch.run_dir).get("5.4") == ("place" if how else None)


@pytest.mark.parametrize("each, kind", [(60, "few"), (4, None)])
def test_steps_that_are_few_for_their_passes_are_odd(each, kind, watch):
    model, data = Little(), tokens()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for batch in range(180):
            inputs, targets = batch_at(data, batch)[:2]
            loss = cross_entropy(model(inputs), targets)
            (loss / each).backward()
            if batch % each == each - 1:
                optimizer.step()
                monitor.step(loss)
                optimizer.zero_grad()
    assert kinds_of(watch.run_dir).get("3.4") == kind


@KINDS.add("clip-before-unscale")
def gradients_are_clipped_while_they_are_scaled(watch, broken):
    model, data = Little(), tokens()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    with watch(model, optimizer) as monitor:
        for step in range(24):
            inputs, targets = batch_at(data, step)[:2]
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if not broken:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            monitor.step(loss)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_named_when_broken_and_passes_when_not(name, watch):
    hold(KINDS[name], watch)


def test_who_fills_in_masks_is_not_judged_by_the_tokens_that_are_read(watch):
    """A share of the tokens drawn for each row, and a loss weighted by it, as in masked diffusion."""
    model, data = Little(rows=V + 1, past_only=False), tokens()

    def loss_of(ids, _targets):
        share = torch.rand(len(ids), 1).clamp(min=0.4)
        hidden = torch.rand(ids.shape) < share
        scores = model(ids.masked_fill(hidden, V))[..., :V]
        each = nn.functional.cross_entropy(scores.transpose(1, 2), ids, reduction="none")
        return (each * hidden / share).mean()

    torch.manual_seed(0)
    train(watch, model, loss_of=loss_of, batches=lambda step: batch_at(data, step)[:2], steps=220)
    assert check(watch.run_dir, whole=True).leaves == []
