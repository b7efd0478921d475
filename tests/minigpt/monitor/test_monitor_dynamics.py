"""The monitor's instruments: ln Z, updates, noise and the first module that breaks, in anybody's loop."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.diagnosis import Verdict
from minigpt.monitor import Monitor
from minigpt.runs.run import Run

V, T, B = 40, 12, 8


class Toy(nn.Module):
    """An embedding, a hidden layer and a head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 16)
        self.hidden = nn.Linear(16, 16)
        self.head = nn.Linear(16, V, bias=False)

    def forward(self, ids):
        return self.head(torch.tanh(self.hidden(self.embedding(ids))))


def train(run_dir, steps=60, micros=1, spoil=None):
    """Train a toy under a monitor; `spoil(model, step)` is called before each forward pass."""
    torch.manual_seed(0)
    model = Toy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95))
    data = torch.randint(0, V, (4000,), generator=torch.Generator().manual_seed(1))
    with Monitor(model, optimizer, vocab_size=V, run_dir=run_dir) as monitor:
        for step in range(steps):
            if spoil:
                spoil(model, step)
            for micro in range(micros):
                generator = torch.Generator().manual_seed(step * micros + micro)
                starts = torch.randint(0, len(data) - T - 1, (B,), generator=generator)
                rows = torch.stack([data[start : start + T + 1] for start in starts])
                loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
                (loss / micros).backward()
                monitor.step(loss)
            optimizer.step()
            optimizer.zero_grad()
    return Run(run_dir), monitor, model


def probes(run, kind):
    return [probe for probe in run.probes if probe["kind"] == kind]


def test_ln_z_and_updates_are_measured_now_and_then(tmp_path):
    run, _, model = train(tmp_path / "run", steps=101)
    found = probes(run, "logits")
    assert [probe["step"] for probe in found] == [50, 100]
    assert found[0]["log_z"] == pytest.approx(math.log(V), abs=0.5)
    sizes = probes(run, "updates")
    assert [probe["step"] for probe in sizes] == [0, 25, 50, 75, 100]
    assert sizes[0]["rms"] == pytest.approx(1, abs=0.05)
    assert set(sizes[-1]["tensors"]) <= {name for name, _ in model.named_parameters()}


def test_the_noise_scale_comes_with_accumulation_alone(tmp_path):
    run, _, _ = train(tmp_path / "one", steps=50)
    assert probes(run, "noise") == []
    run, _, _ = train(tmp_path / "four", steps=50, micros=4)
    (found,) = probes(run, "noise")
    assert found["tokens"] == 4 * B * T and found.get("scale", 1) > 0


@pytest.mark.parametrize("name", ["hidden", "head"])
def test_the_module_that_breaks_first_is_named(name, tmp_path):
    def spoil(model, step):
        if step == 30:
            getattr(model, name).register_forward_hook(lambda module, given, output: output / 0.0)

    run, monitor, _ = train(tmp_path / "run", steps=35, spoil=spoil)
    (found,) = probes(run, "non-finite")
    assert (found["module"], found["phase"], found["step"]) == (name, "forward", 30)
    walk = monitor.check(whole=True)
    assert walk.leaf == "nan-loss"
    assert any(f.question == "7.1" and f.values.get("module") == name for f in walk.findings)


def test_the_instruments_change_nothing_and_raise_no_alarm(tmp_path):
    _, monitor, watched = train(tmp_path / "run", steps=60, micros=2)
    found = monitor.check(whole=True)
    assert found.verdict is not Verdict.FAIL, [f for f in found.findings if f.leaf]
    assert not any(m._forward_hooks for m in watched.modules())
