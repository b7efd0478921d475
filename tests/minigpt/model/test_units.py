"""State space, spiking and liquid units: against their formulas, and token by token against all at once."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.model.ffn.liquid import Liquid
from minigpt.model.ffn.spiking import Spike, Spiking
from minigpt.model.generation import generate
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.mixers.two_streams import RATE_TAU, TwoStreams
from minigpt.model.scan import scan, scan_loop

FORMS = {
    "state_space": {"mixer": "state_space"},
    "spiking": {"activation": "spiking"},
    "liquid": {"activation": "liquid"},
    "both": {"mixer": "state_space", "activation": "liquid"},
    "parallel": {"mixer": "two_streams", "integration": "parallel", "gate_heads": 4},
    "sequential": {"mixer": "two_streams", "integration": "sequential"},
    "bidirectional": {"mixer": "two_streams", "cross_attention_heads": 2, "gate_heads": 2},
    "rate": {"mixer": "two_streams", "spikes_read": "rate"},
    "potential": {"mixer": "two_streams", "spikes_read": "potential"},
}


@pytest.fixture(params=FORMS)
def model(request):
    config = MINIMAL.replace(**FORMS[request.param])
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    return model.eval()


def tokens(model, batch, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (batch, length), generator=generator)


@given(st.integers(1, 40), st.integers(0, 1000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_both_scans_agree_in_values_and_gradients(length, seed, from_a_state):
    generator = torch.Generator().manual_seed(seed)
    decay = torch.rand(2, length, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    drive = torch.randn(2, length, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.randn(2, 3, generator=generator, dtype=torch.float64) if from_a_state else None
    results = [each(decay, drive, start) for each in (scan, scan_loop)]
    torch.testing.assert_close(*results)
    weight = torch.randn(results[0].shape, generator=generator, dtype=torch.float64)
    gradients = [
        torch.autograd.grad((result * weight).sum(), (decay, drive), materialize_grads=True)
        for result in results
    ]
    torch.testing.assert_close(*gradients)


def test_in_single_precision_the_scans_agree_to_1e_5():
    generator = torch.Generator().manual_seed(0)
    decay, drive = (torch.rand(4, 256, 16, generator=generator) for _ in range(2))
    torch.testing.assert_close(scan(decay, drive), scan_loop(decay, drive), rtol=1e-5, atol=1e-5)


def test_a_neuron_under_a_constant_current_follows_its_closed_form():
    unit = Spiking(MINIMAL)
    with torch.no_grad():
        unit.threshold.fill_(1e9)  # never fires
        unit.log_tau.fill_(math.log(5.0))
    current = torch.full((1, 30, unit.width), 0.3)
    with torch.no_grad():
        _, potential = unit.fire(current)
    a = math.exp(-1 / 5)
    torch.testing.assert_close(potential, torch.full((1, unit.width), 0.3 * (1 - a**30) / (1 - a)))


@given(st.floats(0.5, 20.0), st.floats(0.02, 3.0), st.floats(0.2, 2.0))
@settings(max_examples=30, deadline=None)
def test_a_neuron_fires_when_its_closed_form_says(tau, current, threshold):
    """From rest the potential after n tokens is I (1 − aⁿ) / (1 − a); the first spike is where it is θ."""
    unit = Spiking(MINIMAL).double()
    a, steps = math.exp(-1 / tau), 60
    potentials = [current * (1 - a**n) / (1 - a) for n in range(1, steps + 1)]
    with torch.no_grad():
        unit.log_tau.fill_(math.log(tau))
        unit.threshold.fill_(threshold)
        spikes, _ = unit.fire(torch.full((1, steps, unit.width), current, dtype=torch.float64))
    reached = [n for n, potential in enumerate(potentials) if potential >= threshold]
    near = any(abs(potential - threshold) < 1e-9 for potential in potentials)  # rounding decides
    fired = spikes[0, :, 0].nonzero().flatten().tolist()
    assert near or fired[:1] == reached[:1]


def test_without_leak_a_neuron_fires_once_for_each_threshold_of_charge():
    unit = Spiking(MINIMAL)
    with torch.no_grad():
        unit.log_tau.fill_(50.0)  # no leak
        spikes, _ = unit.fire(torch.full((1, 100, unit.width), 0.25))
    assert spikes.sum(1).unique().tolist() == [25.0]


def test_a_spike_has_the_surrogate_gradient():
    above = torch.tensor([-1.0, 0.0, 3.0], requires_grad=True)
    Spike.apply(above).sum().backward()
    assert above.grad.tolist() == [0.25, 1.0, 0.0625]


def test_a_liquid_unit_solves_its_differential_equation():
    unit = Liquid(MINIMAL).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        unit.log_tau.uniform_(0.0, 3.0, generator=generator)
        conductance = torch.rand(1, 6, unit.width, generator=generator, dtype=torch.float64) * 2
        target = torch.randn(1, 6, unit.width, generator=generator, dtype=torch.float64)
        closed = unit.relax(conductance, target)
        value, tau, steps = torch.zeros(1, unit.width, dtype=torch.float64), torch.exp(unit.log_tau), 200
        for token in range(6):  # Runge-Kutta of order 4

            def slope(x, token=token):
                return -(1 / tau + conductance[:, token]) * x + conductance[:, token] * target[:, token]

            for _ in range(steps):
                one = slope(value)
                two = slope(value + one / (2 * steps))
                three = slope(value + two / (2 * steps))
                four = slope(value + three / steps)
                value = value + (one + 2 * two + 2 * three + four) / (6 * steps)
            torch.testing.assert_close(closed[:, token], value, rtol=1e-7, atol=1e-9)


@torch.no_grad()
def test_a_state_space_reads_spikes_or_their_mean_or_the_potentials_behind_them():
    x, said = torch.randn(2, 9, 16), {}
    for read in ("temporal", "rate", "potential"):
        torch.manual_seed(0)
        streams = TwoStreams(MINIMAL.replace(mixer="two_streams", spikes_read=read)).eval()
        spikes, heard = streams._fire(x, None)
        said[read] = heard
        torch.testing.assert_close(spikes, streams.spiking(x))
    keep, mean = math.exp(-1 / RATE_TAU), torch.zeros(2, 16)
    for step in range(9):
        mean = keep * mean + (1 - keep) * said["temporal"][:, step]
        torch.testing.assert_close(said["rate"][:, step], mean)
    spikes, potentials = streams.spiking.spikes_and_potentials(x)
    assert torch.equal(potentials >= streams.spiking.threshold, spikes.bool())
    torch.testing.assert_close(said["potential"], streams.spiking.c_proj(potentials))


@torch.no_grad()
def test_token_by_token_is_all_at_once(model):
    idx = tokens(model, 3, 12)
    whole = model(idx)
    state = model.init_state(3)
    pieces = [model(piece, state) for piece in idx.split([1, 4, 1, 6], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_row_depends_on_its_own_past_alone(model):
    idx = tokens(model, 4, 12)
    logits = model(idx)
    torch.testing.assert_close(model(idx[2:3]), logits[2:3], rtol=1e-4, atol=1e-5)
    changed = idx.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % model.config.vocab_size
    torch.testing.assert_close(model(changed)[:, :7], logits[:, :7], rtol=1e-4, atol=1e-5)
    assert torch.equal(model(idx), logits)  # nothing was kept


@torch.no_grad()
def test_a_new_document_forgets_the_old_one(model):
    old, new = tokens(model, 2, 5), tokens(model, 2, 6, seed=1)
    state = model.init_state(2)
    model(old, state)
    state.reset(torch.tensor([True, True]))
    torch.testing.assert_close(model(new, state), model(new), rtol=1e-4, atol=1e-5)


def test_generation_with_a_state_is_generation_without(model):
    prompt = tokens(model, 2, 4)
    cached = generate(model, prompt, 8, temperature=0)
    idx = prompt
    with torch.no_grad():
        for _ in range(8):
            idx = torch.cat([idx, model(idx)[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(cached, idx)


def test_every_parameter_gets_a_gradient(model):
    model.train()
    idx = tokens(model, 4, 16)
    torch.nn.functional.cross_entropy(model(idx).flatten(0, 1), idx.flatten()).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
