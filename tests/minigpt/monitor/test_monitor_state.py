"""The monitor on what lasts from step to step: weights that others write, and a memory of the model's own."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_runs import MINIMAL
from torch import nn

from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.diagnosis import Verdict
from minigpt.diagnosis.trees.dynamics import DYNAMICS
from minigpt.faults import FAULTS
from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.state import commit_memory
from minigpt.monitor import Monitor
from minigpt.runs.evidence import Evidence
from minigpt.runs.jsonl import Columns
from minigpt.runs.run import Run
from minigpt.training.recipe import Recipe

MEMORY = MINIMAL.replace(mixer="memory", short_term_size=4, consolidation_interval=1, memory_temperature=4.0)


def train(run_dir, model, config=MINIMAL, steps=45, after=None, **told):
    """Train a model in a plain loop; `after(model, step)` is called behind each step. Return the monitor."""
    tokens = load_data(config).train
    torch.manual_seed(1)  # of the memory's dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    with Monitor(model, optimizer, vocab_size=config.vocab_size, run_dir=run_dir, **told) as monitor:
        for step in range(steps):
            batch = get_batch(tokens, config, step)
            loss = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            commit_memory(model, step)
            if after:
                after(model, step)
            monitor.step(loss)
    return monitor


def model_of(config=MINIMAL, fault=None):
    torch.manual_seed(0)
    recipe = Recipe(config).with_fault(fault) if fault else Recipe(config)
    model = recipe.build_model(config)
    init_weights(model, config)
    return model


@torch.no_grad()
def clamp(model, step):
    model.h[0].mlp.c_fc.weight.clamp_(-0.03, 0.03)


def test_weights_that_the_loop_writes_are_found_by_name(tmp_path):
    found = train(tmp_path / "run", model_of(), after=clamp).check()
    assert (found.leaf, found.end.values["name"]) == ("writes-outside-optimizer", "h.0.mlp.c_fc.weight")


def test_what_is_declared_is_no_fault(tmp_path):
    found = train(tmp_path / "run", model_of(), after=clamp, writes=["h.0.mlp.c_fc"]).check(whole=True)
    assert found.verdict is Verdict.PASS, [f for f in found.findings if f.leaf]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_write_to_a_parameter_that_is_not_there_is_refused(language, tmp_path):
    use_language(language)
    with pytest.raises(MiniGPTError, match=r"c_fx.*writes"):
        train(tmp_path / "run", model_of(), writes="h.0.mlp.c_fx")


def test_an_average_that_is_put_in_for_an_evaluation_is_no_fault(tmp_path):
    model = model_of()
    average = copy.deepcopy(model.state_dict())

    @torch.no_grad()
    def evaluate(model, step):
        own = copy.deepcopy(model.state_dict())
        for name, tensor in own.items():
            average[name].lerp_(tensor, 0.1)
        model.load_state_dict(average)
        model(torch.randint(512, (2, 16)))
        # what some libraries put back is not the same to the last bit
        model.load_state_dict({name: tensor * (1 + 1e-7) for name, tensor in own.items()})

    found = train(tmp_path / "run", model, after=evaluate).check(whole=True)
    assert found.verdict is Verdict.PASS, [f for f in found.findings if f.leaf]


class LastBatch(nn.Module):
    """Adds a part of what it read last time, as a list on a module does."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.last = norm, None

    def forward(self, x):
        x = self.norm(x)
        y = x if self.last is None or len(self.last) != len(x) else x + 0.3 * self.last
        self.last = x.detach().clone()
        return y


def test_a_module_that_remembers_the_last_batch_is_found(tmp_path):
    model = model_of()
    model.ln_f = LastBatch(model.ln_f)
    assert train(tmp_path / "run", model).check().leaf == "memory-leak-across-batches"


@pytest.mark.parametrize(
    "fault", ["memory-gate-collapse", "memory-written-in-evaluation", "random-consolidation"]
)
def test_faults_of_our_memory_are_named_in_anybody_s_loop(fault, tmp_path):
    found = train(tmp_path / "run", model_of(MEMORY, fault), MEMORY).check()
    assert found.leaf == FAULTS[fault].leaf, [f for f in found.findings if f.leaf]


@pytest.mark.parametrize("form", [{}, {"use_stop_gradient": True}], ids=str)
def test_our_memory_in_anybody_s_loop_passes_and_is_recorded(form, tmp_path):
    config = MEMORY.replace(**form)
    model = model_of(config)
    twin = copy.deepcopy(model)
    found = train(tmp_path / "run", model, config).check(whole=True)
    assert found.verdict is Verdict.PASS, [f for f in found.findings if f.leaf]
    answers = {finding.question: finding.verdict for finding in found.findings}
    assert {answers[question] for question in ("10.1", "10.2", "10.3", "10.4", "10.5")} == {Verdict.PASS}
    writes = Run(tmp_path / "run").column("memory.writes.0")[1]
    assert len(writes) > 40 and writes[-1] >= 40
    _unwatched(twin, config)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def _unwatched(model, config, steps=45):
    tokens = load_data(config).train
    torch.manual_seed(1)  # of the memory's dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    for step in range(steps):
        batch = get_batch(tokens, config, step)
        F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        commit_memory(model, step)


def test_the_model_is_left_as_it_was(tmp_path):
    model = build_model(MEMORY)
    init_weights(model, MEMORY)
    monitor = train(tmp_path / "run", model, MEMORY, steps=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    written = [block.attn.long_term.written.clone() for block in model.h]
    monitor.check()
    assert model.training and all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(torch.equal(a, b.attn.long_term.written) for a, b in zip(written, model.h, strict=True))


@pytest.mark.parametrize(("old", "leaf"), [(2.1, None), (4.5, "forgetting")])
def test_tasks_by_name_tell_what_was_forgotten_and_a_leap_between_them_is_no_bad_batch(old, leaf):
    losses = [*np.linspace(6, 2, 100), *np.linspace(6, 2, 100)] + np.random.default_rng(0).normal(
        0, 0.02, 200
    )
    records = [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses)]
    records[99] |= {"tasks.first": 2.0, "tasks.second": 6.0}
    records[199] |= {"tasks.first": old, "tasks.second": 2.0}
    found = {
        name: DYNAMICS.question(name).judge(DYNAMICS.question(name), Evidence(metrics=Columns(records)))
        for name in ("8.2", "9.4")
    }
    assert (found["8.2"].verdict, found["9.4"].leaf) == (Verdict.WARN, leaf)
