"""The trainer's instruments in anybody's loop: growth, units, tensors that never learn, sharpness."""

import math

import pytest
import torch
import torch.nn.functional as F
from loops import T, V, batch_at, tokens
from torch import nn

from minigpt.dashboard import from_run
from minigpt.dashboard.panels import panels
from minigpt.diagnosis import Verdict
from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.monitor import Monitor
from minigpt.monitor.units_seen import feed_forwards
from minigpt.runs.run import Run
from minigpt.runs.schema import unknown_fields
from minigpt.training.instruments.sharpness import sharpness

C = 16


class Mixing(nn.Module):
    """Attention with one layer for queries, keys and values, or with three."""

    def __init__(self, fused):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(C, 3 * C)] if fused else [nn.Linear(C, C) for _ in range(3)])
        self.out = nn.Linear(C, C)

    def forward(self, x):
        q, k, v = torch.cat([part(x) for part in self.parts], -1).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True))


class Layer(nn.Module):
    """A block under names of its own; gate and hidden units may come from one layer."""

    def __init__(self, fused, gated):
        super().__init__()
        self.a, self.b = nn.LayerNorm(C), nn.LayerNorm(C)
        self.mixing = Mixing(fused)
        self.wide, self.back = nn.Linear(C, 8 * C if gated else 4 * C), nn.Linear(4 * C, C)
        self.gated, self.dropout = gated, nn.Dropout(0.1)

    def forward(self, x):
        x = x + self.mixing(self.a(x))
        hidden = self.wide(self.b(x))
        if self.gated:
            gate, hidden = hidden.chunk(2, -1)
            hidden = F.silu(gate) * hidden
        return x + self.dropout(self.back(F.relu(hidden)))


class Stranger(nn.Module):
    """A model as somebody else writes it; its table of tokens may be a bare parameter."""

    def __init__(self, fused=True, gated=False, bare=False):
        super().__init__()
        self.table = nn.Parameter(torch.randn(V, C)) if bare else nn.Embedding(V, C)
        self.stack = nn.Sequential(*(Layer(fused, gated) for _ in range(2)))
        self.last, self.scores = nn.LayerNorm(C), nn.Linear(C, V, bias=False)

    def forward(self, ids):
        x = F.embedding(ids, self.table) if isinstance(self.table, nn.Parameter) else self.table(ids)
        return self.scores(self.last(self.stack(x)))


def train(run_dir, model=None, steps=31, spoil=None, watched=True, **settings):
    """Train a stranger's model; `spoil(model, step)` is called before each forward pass."""
    torch.manual_seed(0)
    model, data = model or Stranger(), tokens()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    monitor = Monitor(model, optimizer, vocab_size=V, run_dir=run_dir, **settings) if watched else None
    losses = []
    with monitor or torch.enable_grad():
        for step in range(steps):
            if spoil:
                spoil(model, step)
            inputs, targets, _ = batch_at(data, step)
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
            if monitor:
                monitor.step(loss)
            optimizer.zero_grad()
            losses.append(loss.item())
    return model, monitor, losses


def probes(run_dir, kind):
    return [probe for probe in Run(run_dir).probes if probe["kind"] == kind]


def answer(monitor, question):
    return next(finding for finding in monitor.check(whole=True).findings if finding.question == question)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "separate"])
@pytest.mark.parametrize("gated", [True, False], ids=["gated", "plain"])
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "embedding"])
def test_units_and_growth_are_read_in_a_model_of_any_names(fused, gated, bare, tmp_path):
    torch.manual_seed(0)
    run_dir, model = tmp_path / "run", Stranger(fused, gated, bare)
    _, monitor, _ = train(run_dir, model, steps=51)
    first, last = probes(run_dir, "units")
    assert (first["step"], last["step"]) == (10, 50)
    assert len(last["inactive"]) == len(last["rank"]) == 2
    assert all(share < 0.2 for share in last["inactive"]) and all(0.1 < rank <= 1 for rank in last["rank"])
    (growth,) = probes(run_dir, "logits")
    table = model.table if bare else model.table.weight
    assert growth["wte_rms"] == pytest.approx(table.square().mean().sqrt().item(), rel=1e-4)
    assert growth["gain_rms"] == pytest.approx(1, abs=0.1)
    assert growth["log_z"] == pytest.approx(math.log(V), abs=1)
    assert not any(unknown_fields(probe) for probe in Run(run_dir).probes)
    assert answer(monitor, "9.5").verdict is answer(monitor, "11.2").verdict is Verdict.PASS


def test_units_that_died_are_named_and_drawn(tmp_path):
    def kill(model, step):
        if step == 15:
            with torch.no_grad():
                model.stack[1].wide.bias[: 3 * C] = -100.0

    run_dir = tmp_path / "run"
    _, monitor, _ = train(run_dir, spoil=kill)
    share = probes(run_dir, "units")[-1]["inactive"]
    assert share[0] < 0.2 and share[1] >= 0.75
    found = answer(monitor, "9.5")
    assert (found.leaf, found.values["layer"]) == ("dead-units", 1)
    drawn = {panel["id"] for panel in panels([from_run(run_dir)])}
    assert {"units", "rank"} <= drawn


def test_gains_and_table_that_grow_are_named(tmp_path):
    def inflate(model, step):
        if step > 100:
            with torch.no_grad():
                model.last.weight *= 1.1
                model.table.weight *= 1.1

    run_dir = tmp_path / "run"
    _, monitor, _ = train(run_dir, steps=151, spoil=inflate, writes=["last", "table"])
    figures = probes(run_dir, "logits")
    assert [probe["step"] for probe in figures] == [50, 100, 150]
    assert figures[-1]["wte_rms"] > 50 * figures[0]["wte_rms"]
    found = answer(monitor, "9.2")
    assert found.leaf == "output-logit-drift" and found.values["wte"] > 50
    drawn = {panel["id"] for panel in panels([from_run(run_dir)])}
    assert "growth" in drawn and "sharpness" not in drawn


def test_a_norm_that_adds_1_to_its_gain_is_followed_as_that(tmp_path):
    class OffsetNorm(nn.LayerNorm):
        def forward(self, x):
            return F.layer_norm(x, (C,), 1 + self.weight, self.bias)

    model = Stranger()
    for layer in model.stack:
        layer.a, layer.b = OffsetNorm(C), OffsetNorm(C)
    model.last = OffsetNorm(C)
    for module in model.modules():
        if isinstance(module, OffsetNorm):
            nn.init.zeros_(module.weight)
    train(tmp_path / "run", model, steps=51)
    assert probes(tmp_path / "run", "logits")[0]["gain_rms"] == pytest.approx(1, abs=0.1)


class Gated(Stranger):
    """With a gate that is called and has no effect, and a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.gate, self.idle = nn.Linear(C, 1), nn.Linear(C, C)

    def forward(self, ids):
        x = self.table(ids)
        return self.scores(self.last(self.stack(x + 0.0 * torch.sigmoid(self.gate(x)))))


@pytest.mark.parametrize(("frozen", "names"), [((), ["gate.weight", "gate.bias"]), (["gate"], [])])
def test_tensors_that_never_learnt_are_those_that_are_called_and_not_declared(frozen, names, tmp_path):
    torch.manual_seed(0)
    _, monitor, _ = train(tmp_path / "run", Gated(), steps=24, frozen=frozen)
    (found,) = probes(tmp_path / "run", "never-learnt")
    assert found["names"] == names
    if names:
        assert monitor.check().leaf == "frozen-parameters"  # the tree before names the same
    else:
        assert answer(monitor, "11.2").verdict is Verdict.PASS


def test_without_moments_nobody_knows_what_never_learnt(tmp_path):
    torch.manual_seed(0)
    model, data = Stranger(), tokens()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run") as monitor:
        for step in range(22):
            inputs, targets, _ = batch_at(data, step)
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
    assert probes(tmp_path / "run", "never-learnt") == []
    assert answer(monitor, "11.2").verdict is Verdict.NOT_MEASURED


def test_the_sharpness_is_that_of_the_loss_of_the_loop(tmp_path):
    seen = {}

    def remember(model, step):
        if step == 21:  # after step 20, at which it is measured
            inputs, targets, _ = batch_at(tokens(), 20)
            batch = inputs[:4], targets[:4], torch.ones_like(targets[:4], dtype=torch.bool)
            loss = lambda logits, targets, _: F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # noqa: E731
            seen["value"] = sharpness(model, loss, _Batch(*batch))

    model, monitor, _ = train(tmp_path / "run", steps=31, sharpness_every=20, spoil=remember)
    (found,) = probes(tmp_path / "run", "sharpness")
    assert found["step"] == 20 and found["value"] == pytest.approx(seen["value"], rel=1e-3)
    assert "sharpness" in {panel["id"] for panel in panels([from_run(tmp_path / "run")])}
    assert monitor.check().verdict is not Verdict.FAIL


class _Batch:
    def __init__(self, inputs, targets, mask):
        self.inputs, self.targets, self.mask = inputs, targets, mask


def test_no_instrument_changes_a_loop_by_a_bit(tmp_path):
    plain, _, alone = train(tmp_path / "none", steps=41, watched=False)
    kept = torch.get_rng_state()
    watched, _, losses = train(tmp_path / "run", steps=41, sharpness_every=15)
    assert losses == alone and torch.equal(torch.get_rng_state(), kept)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    assert all(module.training for module in watched.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in watched.modules())
    assert [probe["step"] for probe in probes(tmp_path / "run", "sharpness")] == [15, 30]
    assert probes(tmp_path / "run", "units")


def test_a_model_that_returns_no_feed_forward_has_no_units():
    assert feed_forwards(nn.Sequential(nn.Embedding(V, C), nn.Linear(C, V)), {C}) == []
    attention = nn.ModuleList([nn.MultiheadAttention(C, 2)])
    assert feed_forwards(attention, {C}) == []


def test_the_feed_forwards_of_libraries_are_found_by_their_shape():
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(C, 2, 4 * C, batch_first=True), 3)
    found = feed_forwards(layers, {C})
    assert [part.projections[0] for part in found] == [layer.linear2 for layer in layers.layers]
    assert [part.block for part in found] == list(layers.layers)
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=V, n_positions=T, n_embd=C, n_layer=2, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    assert [part.projections[0] for part in feed_forwards(model, {C})] == [
        block.mlp.c_proj for block in model.transformer.h
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("given", [-1, 2.5, "often"])
def test_a_spacing_that_cannot_be_is_refused(given, language, tmp_path):
    use_language(language)
    model = Stranger()
    optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(MiniGPTError, match="sharpness_every"):
        Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run", sharpness_every=given)
