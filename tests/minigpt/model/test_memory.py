"""The memory mixer: each mechanism against its rule; memory never leaks, is never lost and never random."""

import copy
import itertools
import math
import shutil
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.config import ConfigError
from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.model.generation import generate
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.mixers.memory import gate, metaplasticity, search, selection, sleep
from minigpt.model.mixers.memory.homeostasis import Homeostasis
from minigpt.model.mixers.memory.long_term import LongTermMemory
from minigpt.model.state import commit_memory, load_memory, memory_of
from minigpt.runs import checkpoint
from minigpt.training.instruments.statefulness import statefulness
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import resume, train

BASE = MINIMAL.replace(
    mixer="memory", n_layer=2, short_term_size=4, long_term_size=12, memory_reads=4, consolidation_interval=1
)
SLEEPY = {"consolidation": "sleep", "consolidation_interval": 4, "sleep_steps": 2}
FORMS = {
    "plain": {},
    "published": {"use_stop_gradient": True, "memory_selection": "hard", "memory_gate": "softmax"},
    "everything": SLEEPY | {"complementary": True, "metaplasticity": True, "homeostasis": True},
    "rotary": {"positions": "rotary", "memory_norm": False},
}


def tokens(batch, length, seed=0):
    return torch.randint(512, (batch, length), generator=torch.Generator().manual_seed(seed))


def model_of(steps=6, **changes):
    """Return a model with something in its long-term memory, in evaluation mode."""
    config = BASE.replace(**changes)
    torch.manual_seed(1)
    model = build_model(config)
    init_weights(model, config.replace(init_std=0.3))
    model.train()
    for step in range(steps):
        model(tokens(4, 16, seed=step))
        commit_memory(model, step)
    assert all(block.attn.long_term.count for block in model.h)
    return model.eval()


@pytest.fixture(params=FORMS)
def model(request):
    return model_of(**FORMS[request.param])


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_row_depends_on_its_own_past_alone_and_evaluation_leaves_no_trace(model):
    idx, before = tokens(8, 12, seed=9), memory_of(model)
    logits = model(idx)
    close(torch.cat([model(row[None]) for row in idx]), logits)
    assert torch.equal(model(idx), logits)
    changed = idx.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 512
    close(model(changed)[:, :7], logits[:, :7])
    after = memory_of(model)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@torch.no_grad()
def test_token_by_token_is_all_at_once_and_a_new_document_forgets(model):
    idx, new = tokens(3, 14), tokens(3, 8, seed=5)
    state = model.init_state(3)
    pieces = [model(piece, state) for piece in idx.split([1, 6, 1, 1, 5], dim=1)]
    close(torch.cat(pieces, 1), model(idx))
    state = model.init_state(3)
    model(idx[:, :8], state)
    state.reset(torch.tensor([True, False, True]))
    continued = model(new, state)
    close(continued[[0, 2]], model(new[[0, 2]]))
    close(continued[1:2], model(torch.cat([idx[1:2, :8], new[1:2]], 1))[:, 8:])


def test_cached_generation_is_generation_without_a_cache(model):
    prompt = tokens(2, 4)
    idx = prompt
    with torch.no_grad():
        for _ in range(8):
            idx = torch.cat([idx, model(idx)[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(generate(model, prompt, 8, temperature=0), idx)
    one_by_one = [generate(model, row[None], 8, temperature=0) for row in prompt]
    assert torch.equal(torch.cat(one_by_one), idx)


def test_a_forward_pass_in_training_changes_nothing_until_the_step_is_taken():
    model = model_of(memory_dropout=0.0).train()
    before, idx = memory_of(model), tokens(4, 16, seed=20)
    one, other = model(idx), model(idx)
    assert torch.equal(one, other) and same(before, memory_of(model))
    load_memory(model, before)  # as a dropped step does
    commit_memory(model, 6)
    assert same(before, memory_of(model))
    model(idx)
    commit_memory(model, 6)
    assert not same(before, memory_of(model))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_probe_of_statefulness_finds_nothing(model):
    found = statefulness(model, tokens(4, 16), tokens(4, 16, seed=3))
    assert found["same_batch"] == 0 and found["row_alone"] < 1e-4
    assert found["evaluation_writes"] is False and found["rng_writes"] is False


def test_what_is_staged_in_micro_batches_is_what_is_staged_at_once():
    whole, split = (model_of(memory_dropout=0.0).train() for _ in range(2))
    idx = tokens(4, 16, seed=30)
    whole(idx)
    split(idx[:2])
    split(idx[2:])
    commit_memory(whole, 6)
    commit_memory(split, 6)
    for name, tensor in memory_of(whole).items():
        torch.testing.assert_close(tensor, memory_of(split)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["plain", "everything"])
def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(form, tmp_path):
    config = BASE.replace(keep_checkpoints=0, guard_finite=True, **FORMS[form])
    run = train(Recipe(config), tmp_path / "whole")
    shutil.copytree(run.path, tmp_path / "killed")
    for late in checkpoint.find(tmp_path / "killed" / "checkpoints"):
        if int(late.name.partition("-")[2]) > 4:
            shutil.rmtree(late)
    again = resume(tmp_path / "killed").run()
    assert [r["loss"] for r in again.metrics] == [r["loss"] for r in run.metrics]
    assert run.metrics[-1]["memory"] == again.metrics[-1]["memory"]
    trainers = [resume(path) for path in (run.path, again.path)]
    assert same(*(memory_of(trainer.model) for trainer in trainers))


def test_stop_gradient_freezes_what_leads_to_memory_alone_and_says_so(tmp_path):
    run = train(Recipe(BASE.replace(use_stop_gradient=True, steps=2, warmup_steps=1)), tmp_path / "run")
    (rehearsal,) = [probe for probe in run.probes if probe["kind"] == "rehearsal"]
    frozen = {f"h.{i}.attn.{name}" for i in (0, 1) for name in ("c_memory.weight", "log_tau")}
    assert set(rehearsal["frozen_by_design"]) == frozen and rehearsal["frozen"] == []
    model = model_of(use_stop_gradient=True).train()
    model(tokens(4, 16)).square().mean().backward()
    silent = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert silent == frozen
    model = model_of().train()
    model(tokens(4, 16)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_memory_of_another_shape_is_refused_in_a_sentence():
    with pytest.raises(MiniGPTError, match=r"keys.*\(12, 16\).*\(8, 16\)"):
        load_memory(model_of(long_term_size=8), memory_of(model_of()))


@given(st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=25)
def test_the_gate_is_a_distribution_over_the_sources_that_are_there(width, seed):
    torch.manual_seed(seed)
    x, there = torch.randn(2, 5, width) * 30, torch.rand(2, 5, 3) < 0.5
    there[..., 0] = True
    for kind in ("softmax", "sigmoid"):
        layer = gate.Gate(width, kind, temperature=1.0)
        weights = layer(x, there)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))
        assert (weights[~there] == 0).all()
        if kind == "sigmoid":
            ratio = torch.sigmoid(layer.c_gate(x)) * there
            torch.testing.assert_close(weights, ratio / ratio.sum(-1, keepdim=True), rtol=1e-3, atol=1e-6)


def test_the_entropy_of_a_gate_is_1_where_it_is_even_and_0_where_one_source_takes_all():
    there = torch.tensor([True, True, False]).expand(2, 4, 3)
    even, all_to_one = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    assert gate.entropy(even.expand(2, 4, 3), there) == pytest.approx(1.0)
    assert gate.entropy(all_to_one.expand(2, 4, 3), there) == pytest.approx(0.0, abs=1e-6)
    assert gate.one_takes_all(all_to_one.expand(2, 4, 3), there) == 1.0
    assert math.isnan(gate.entropy(all_to_one, torch.tensor([True, False, False])))


def test_the_gradient_of_soft_selection_is_its_derivative():
    """By finite differences, also where two weights are equally large and where some are 0."""
    weights = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.4, 0.4, 0.15, 0.05], [0.97, 0.01, 0.01, 0.01]]).double()
    assert torch.autograd.gradcheck(selection.soft, (weights[[0, 2], :3].requires_grad_(),))
    tied = weights[1:2].clone().requires_grad_()
    selection.soft(tied)[0, 2].backward()
    own = tied.detach().clone().requires_grad_()
    faded = own * torch.sigmoid(selection.STEEPNESS * (own / own.amax(-1, keepdim=True) - selection.SHARE))
    (faded / faded.sum(-1, keepdim=True))[0, 2].backward()
    torch.testing.assert_close(tied.grad, own.grad)


@pytest.mark.parametrize("search_name", ["exact", "faiss"])
def test_both_ways_to_read_the_long_term_memory_give_the_same(search_name):
    """By hand: the best slots of each query, their softmax, selected, and the sum of their values."""
    if search_name == "faiss":
        pytest.importorskip("faiss")
    store = LongTermMemory(BASE.replace(long_term_size=12, memory_reads=4, memory_search=search_name))
    generator = torch.Generator().manual_seed(3)
    keys, values = torch.randn(2, 9, BASE.n_embd, generator=generator)
    store.write(keys, values, step=0)
    query = torch.randn(2, 5, BASE.n_embd, generator=generator, requires_grad=True)
    read, slots = store(query)
    wanted, used = torch.zeros_like(read), torch.zeros(12)
    for row, token in itertools.product(range(2), range(5)):
        products = keys @ query[row, token] / BASE.n_embd**0.5
        best = products.argsort(descending=True)[:4]
        weights = store.select(products[best].softmax(-1))
        wanted[row, token] = weights @ values[best]
        used[best] += weights.detach()
    torch.testing.assert_close(read, wanted)
    torch.testing.assert_close(slots, used)
    (gradient,) = torch.autograd.grad(read.square().sum(), query)
    (by_hand,) = torch.autograd.grad(wanted.square().sum(), query)
    torch.testing.assert_close(gradient, by_hand)


@pytest.mark.parametrize("select", selection.SELECTIONS.values(), ids=selection.SELECTIONS)
def test_selection_runs_over_the_slots_and_keeps_a_distribution(select):
    weights = torch.rand(3, 4, 6).softmax(-1)
    chosen = select(weights)
    torch.testing.assert_close(chosen.sum(-1), torch.ones(3, 4))
    torch.testing.assert_close(chosen[1:2, 2:3], select(weights[1:2, 2:3]))
    sharp = select(torch.tensor([0.9, 0.05, 0.05]))
    assert sharp[0] > 0.9


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=25)
def test_faiss_finds_what_the_exact_search_finds(slots, width, seed):
    pytest.importorskip("faiss")
    generator = torch.Generator().manual_seed(seed)
    queries, keys = (torch.randn(n, width, generator=generator) for n in (7, slots))
    k = min(4, slots)
    assert torch.equal(search.exact(queries, keys, k), search.find_search("faiss")(queries, keys, k))


@pytest.mark.parametrize("language", LANGUAGES)
def test_faiss_that_is_not_installed_is_said_in_a_sentence(language, monkeypatch):
    use_language(language)
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    with pytest.raises(MiniGPTError, match="faiss-cpu"):
        build_model(BASE.replace(memory_search="faiss"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_faiss_that_is_installed_and_cannot_be_loaded_is_said_in_a_sentence(language, monkeypatch):
    use_language(language)
    monkeypatch.setattr(search, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "faiss", None)  # whose import fails
    with pytest.raises(MiniGPTError) as refused:
        build_model(BASE.replace(memory_search="faiss"))
    assert "--force-reinstall faiss-cpu" in str(refused.value) and "exact" in str(refused.value)


def store_of(**changes):
    return LongTermMemory(BASE.replace(**changes))


def unit(index):
    return torch.eye(16)[index : index + 1]


def test_slots_fill_up_renew_what_they_know_and_then_the_oldest_makes_room():
    store = store_of(long_term_size=4)
    for step, index in enumerate([0, 1, 1, 2, 3, 4]):
        store.write(unit(index), unit(index), step)
    assert store.count == 4 and not store.duplicates().any()
    assert store.keys.argmax(-1).tolist() == [4, 1, 2, 3]  # 0 was the oldest


def test_with_metaplasticity_the_weakest_makes_room():
    store = store_of(long_term_size=4, metaplasticity=True)
    for step in range(4):
        store.write(unit(step), unit(step), step)
    for _ in range(5):
        store.read_as_often(torch.tensor([3.0, 0.2, 3.0, 3.0]), tokens=9)
    assert int(store.strength.argmin()) == 1
    store.write(unit(9), unit(9), 9)
    assert store.keys[1].argmax() == 9


def test_bcm_strengthens_above_the_threshold_weakens_below_and_slides():
    strength, threshold = metaplasticity.strengthened(
        torch.ones(3), torch.ones(3), torch.tensor([2.0, 0.5, 0.0]), tau=10.0
    )
    assert strength[0] > 1 > strength[1] and strength[2] == 1
    torch.testing.assert_close(threshold, torch.tensor([1.3, 0.925, 0.9]))


def test_complementary_learning_moves_a_near_slot_a_little():
    store = store_of(complementary=True, complementary_rate=0.25)
    store.write(unit(0), unit(0), 0)
    near = unit(0) + 0.2 * unit(1)
    store.write(near, unit(2), 1)
    assert store.count == 1
    torch.testing.assert_close(store.values[0], 0.75 * unit(0)[0] + 0.25 * unit(2)[0])


def test_by_day_the_most_read_are_kept_and_only_by_night_written():
    day = sleep.Day(2, 3)
    day.keep(torch.eye(3), torch.eye(3), torch.tensor([1.0, 3.0, 2.0]))
    assert day.take(1)[0].argmax() == 1 and day.take(1)[0].argmax() == 2
    assert [sleep.asleep(step, 4, 2) for step in range(5)] == [False, False, True, True, False]
    model = model_of(steps=0 + 4, **SLEEPY).train()
    written = model.h[0].attn.long_term.written
    assert set(written[written >= 0].tolist()) <= {2, 3}


def test_chance_is_a_function_of_seed_and_step():
    counts = []
    for _ in range(2):
        layer = model_of(consolidation="random", consolidation_interval=None, steps=40).h[0].attn
        counts.append(layer.long_term.written.tolist())
    assert counts[0] == counts[1] and len(set(counts[0]) - {-1}) > 1


def test_homeostasis_reaches_its_target_and_the_fault_does_not():
    config = BASE.replace(homeostasis=True, homeostasis_target=0.5, homeostasis_tau=20.0)
    healthy = Homeostasis(config)
    hasty = copy.deepcopy(healthy)
    hasty.exponent, hasty.corrected = 1.0, False
    plain = torch.full((16,), 0.2)
    hasty_scales = []
    for _ in range(400):
        healthy.move(plain * healthy.scale)
        hasty.move(plain * hasty.scale)
        hasty_scales.append(float(hasty.scale[0]))
    torch.testing.assert_close(plain * healthy.scale, torch.full((16,), 0.5), rtol=0.05, atol=0)
    assert healthy.clamped() == 0
    assert max(hasty_scales[:50]) == 10.0 and min(hasty_scales[:50]) < 1.0  # 2.5 would be right


REFUSED = [
    ({"short_term_size": 16}, ["short_term_size = 16", "context = 16"]),
    ({"short_term_size": 0}, ["short_term_size", "0"]),
    ({"long_term_size": 0}, ["long_term_size", "0"]),
    ({"memory_reads": 13}, ["memory_reads = 13", "long_term_size = 12"]),
    ({"consolidation_interval": 13}, ["consolidation_interval = 13", "steps = 12"]),
    ({"consolidation_interval": 0}, ["consolidation_interval", "0"]),
    (SLEEPY | {"sleep_steps": 4}, ["sleep_steps = 4", "4"]),
    ({"consolidation": "sleep", "consolidation_interval": None}, ["sleep_steps = 5"]),  # a tenth of 12 steps
    ({"memory_temperature": 0}, ["memory_temperature", "0"]),
    ({"memory_dropout": 1}, ["memory_dropout", "1"]),
    ({"residual_weight": -1}, ["residual_weight", "-1"]),
]
IDLE = [
    ({"mixer": "attention", "memory_temperature": 4.0}, ["memory_temperature = 4.0", "mixer = attention"]),
    ({"sleep_steps": 3}, ["sleep_steps = 3", "consolidation = interval"]),
    ({"homeostasis_tau": 5.0}, ["homeostasis_tau = 5.0", "homeostasis = False"]),
    ({"consolidation": "random"}, ["consolidation_interval = 1", "random"]),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("changes", "named"), REFUSED, ids=lambda value: str(value)[:40])
def test_settings_that_cannot_work_are_refused_in_one_sentence(changes, named, language):
    use_language(language)
    with pytest.raises(ConfigError) as caught:
        BASE.replace(**changes)
    assert all(part in str(caught.value) for part in named) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("changes", "named"), IDLE, ids=lambda value: str(value)[:40])
def test_settings_that_have_no_effect_are_refused(changes, named):
    shape = {"short_term_size": 16, "long_term_size": 64, "memory_reads": 8, "consolidation_interval": None}
    plain = BASE.replace(**(shape if "mixer" in changes else {}), **changes)
    with pytest.raises(ConfigError) as caught:
        plain.refuse_idle()
    assert all(part in str(caught.value) for part in named), caught.value


def test_normalised_queries_and_keys_have_an_effect_beside_a_memory():
    BASE.replace(qk_norm=True).refuse_idle()
    idx = tokens(2, 8)
    with torch.no_grad():
        assert not torch.equal(model_of(qk_norm=True)(idx), model_of()(idx))


def test_the_threshold_of_metaplasticity_slides_by_steps_and_not_by_consolidations():
    """As its setting says: it is written once here, and read in five steps."""
    store = store_of(metaplasticity=True, metaplasticity_tau=4.0)
    store.write(unit(0), unit(0), 0)
    for _ in range(5):
        store.read_as_often(torch.tensor([8.0] + [0.0] * 11), tokens=4)  # y = 2
    expected = 4 - 3 * (1 - 1 / 4) ** 5  # from 1 towards y²
    assert store.threshold[0].item() == pytest.approx(expected)


def test_the_record_of_a_step_tells_of_memory_by_the_seed_s_names_too(tmp_path):
    run = train(Recipe(BASE.replace(homeostasis=True)), tmp_path / "run")
    last = run.metrics[-1]
    assert last["train"] == {"stm_size": pytest.approx(3.375), "ltm_size": 12.0}
    assert [len(last["memory"][name]) for name in ("gate_entropy", "norm", "clamped")] == [2, 2, 2]
    assert all(0 < value <= 1 for value in last["memory"]["gate_entropy"])
    _, sizes = run.column("train.ltm_size")
    assert list(sizes) == sorted(sizes)
