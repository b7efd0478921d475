"""Between steps that are looked at closely the monitor listens less, and writes down the same."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.monitor import Monitor, rest
from minigpt.runs.run import Run

V, T, B = 40, 12, 8
FROM, LATER, STEPS = 20, 31, 60  # where the monitor may rest, where a loop changes, and its end


class Toy(nn.Module):
    """An embedding, a hidden layer and a head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 16)
        self.hidden = nn.Linear(16, 16)
        self.head = nn.Linear(16, V, bias=False)

    def forward(self, ids):
        return self.head(torch.tanh(self.hidden(self.embedding(ids))))


def train(run_dir, kind):
    """Train a toy under a monitor; return its records, and the steps whose forward pass found it at rest."""
    torch.manual_seed(0)
    model, rested = Toy(), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    micros = 2 if kind == "accumulation" else 1
    with Monitor(model, optimizer, vocab_size=V, run_dir=run_dir) as monitor:
        for step in range(STEPS):
            if not model.head._forward_hooks:
                rested.append(step)
            if kind == "clears before":
                optimizer.zero_grad()
            if kind == "freezes later" and step == LATER:
                model.embedding.requires_grad_(False)
            for micro in range(micros):
                rows = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(2 * step + micro))
                loss = loss_of(model, rows)
                if kind == "two at once":
                    loss = loss + loss_of(model, rows)
                if kind == "asks for a gradient later" and step >= LATER:
                    torch.autograd.grad(loss_of(model, rows), model.hidden.weight)
                (loss / micros).backward()
                monitor.step(loss)
            if kind == "decays by a backward pass":
                (1e-3 * model.embedding.weight.square().sum()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            if kind != "clears before":
                optimizer.zero_grad(set_to_none=kind != "fills with zeros")
    metrics = Run(run_dir).metrics
    records = [{name: value for name, value in each.items() if name != "seconds"} for each in metrics]
    return records, rested


def loss_of(model, rows):
    return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


KINDS = ("plain", "accumulation", "fills with zeros", "clears before", "decays by a backward pass")


@pytest.mark.parametrize("kind", [*KINDS, "two at once", "asks for a gradient later"])
def test_the_records_are_those_of_a_monitor_that_never_rests(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "FROM", STEPS + 1)
    whole, rested = train(tmp_path / "whole", kind)
    assert not rested and len(whole) == STEPS
    monkeypatch.setattr(rest, "FROM", FROM)
    records, rested = train(tmp_path / "run", kind)
    for record in whole:  # the one question that a quiet step is not asked
        assert "clipped" in record
        if rest.quiet(record["step"]):
            del record["clipped"]
    assert records == whole
    last = LATER if kind == "asks for a gradient later" else STEPS
    assert rested == [step for step in range(FROM, STEPS) if step % rest.EVERY and step <= last]


def test_it_listens_again_where_the_witness_falls_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "FROM", FROM)
    records, rested = train(tmp_path / "run", "freezes later")
    assert max(rested) == LATER
    assert [r["step"] for r in records if "grad_norm" not in r] in ([], [LATER])


def test_a_loop_that_scores_each_token_twice_is_listened_to(tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "FROM", FROM)
    torch.manual_seed(0)
    model = Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run") as monitor:
        for step in range(FROM + 5):
            rows = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(step))
            loss_of(model, rows)  # with a graph, and without a backward pass
            loss = loss_of(model, rows)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            monitor.step(loss)
            assert model.head._forward_hooks


@torch.no_grad()
def halve(model, optimizer, kept):
    for parameter in model.parameters():
        parameter.data.mul_(0.5)


@torch.no_grad()
def go_back(model, optimizer, kept):
    model.load_state_dict(kept[0])
    optimizer.load_state_dict(kept[1])


@torch.no_grad()
def go_back_in_place(model, optimizer, kept):
    model.load_state_dict(kept[0])
    for parameter, old in zip(model.parameters(), kept[1]["state"].values(), strict=True):
        for name, value in optimizer.state[parameter].items():
            value.copy_(old[name])


@torch.no_grad()
def break_it(model, optimizer, kept):
    model.hidden.bias.fill_(math.nan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("what", "times"), [(halve, 1), (go_back, 0), (go_back_in_place, 0), (lambda *_: None, 0)]
)
def test_a_single_write_between_two_looks_is_seen_and_a_step_back_is_none(
    what, times, dtype, tmp_path, monkeypatch
):
    run = one_event(tmp_path / "run", what, dtype, monkeypatch)
    (*_, seen) = (probe["writes"] for probe in run.probes if "writes" in probe)
    assert (seen["times"], seen["first"]) == (times, LATER if times else None)


def test_the_first_step_that_is_not_finite_is_looked_into_though_it_is_quiet(tmp_path, monkeypatch):
    run = one_event(tmp_path / "run", break_it, torch.float32, monkeypatch)
    (found,) = (probe for probe in run.probes if probe["kind"] == "non-finite")
    assert (found["step"], found["module"]) == (LATER, "hidden"), found


def one_event(run_dir, what, dtype, monkeypatch):
    """Train a toy to which something happens before step `LATER`; the states of ten steps before are kept."""
    monkeypatch.setattr(rest, "FROM", FROM)
    torch.manual_seed(0)
    model = Toy().to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    kept = ()
    with Monitor(model, optimizer, vocab_size=V, run_dir=run_dir) as monitor:
        for step in range(STEPS):
            if step == LATER - 10:
                kept = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
            if step == LATER:
                what(model, optimizer, kept)
            rows = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(step))
            loss = loss_of(model, rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.step(loss)
    return Run(run_dir)


def test_clipping_that_begins_between_two_close_looks_is_judged_by_every_norm(tmp_path, monkeypatch):
    """Few steps are asked whether they were clipped: one tells the limit, and all norms the share."""
    monkeypatch.setattr(rest, "FROM", FROM)
    monkeypatch.setattr(rest, "EVERY", 10)
    torch.manual_seed(0)
    model = Toy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run") as monitor:
        for step in range(STEPS):
            loss = loss_of(model, torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(step)))
            loss.backward()
            if step > FROM + 1:
                nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
            optimizer.step()
            optimizer.zero_grad()
            monitor.step(loss)
    found = next(each for each in monitor.check(whole=True).findings if each.question == "3.1")
    assert (found.leaf, found.values["clipped"]) == ("always-clipping", 1.0)
    asked = [record["step"] for record in Run(tmp_path / "run").metrics if "clipped" in record]
    assert asked == [*range(FROM), 20, 30, 40, 50]
