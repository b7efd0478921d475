"""The linear layer, whose products one library or the other computes, against the plain formula."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt.config import Config
from minigpt.model import kernels
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.kernels import ONEDNN, PLAIN, Kernels, choose_kernels, has_onednn, use_kernels

onednn = pytest.mark.skipif(not has_onednn(), reason="oneDNN serves x86 processors only")
SIZES = st.integers(1, 40)
CHOICES = [Kernels(*libraries) for libraries in product(("mkl", "onednn"), repeat=3)]


def linear(x, weight, bias=None, choice=ONEDNN):
    """Return what a chosen layer makes of x; the tensors stay leaves."""
    layer = nn.Linear(1, 1)
    layer.weight, layer.bias = nn.Parameter(weight), bias if bias is None else nn.Parameter(bias)
    use_kernels(layer, choice)
    del layer._parameters["weight"], layer._parameters["bias"]
    layer.weight, layer.bias = weight, bias
    return layer(x)


def gradients(product, *tensors):
    """Return the product's value and its gradient for every tensor that asks for one."""
    copies = [t if t is None else t.detach().clone().requires_grad_(t.requires_grad) for t in tensors]
    y = product(*copies)
    y.backward(torch.linspace(-1, 1, y.numel()).view_as(y))
    return y, *(t.grad for t in copies if t is not None and t.requires_grad)


@onednn
@pytest.mark.parametrize("choice", CHOICES, ids="-".join)
@given(lead=st.lists(st.integers(1, 7), min_size=1, max_size=3), ins=SIZES, outs=SIZES, bias=st.booleans())
@settings(max_examples=12, deadline=None)
def test_value_and_gradients_are_those_of_the_plain_formula(choice, lead, ins, outs, bias):
    generator = torch.Generator().manual_seed(ins * outs)
    x = torch.randn(*lead, ins, generator=generator, requires_grad=True)
    weight = torch.randn(outs, ins, generator=generator, requires_grad=True)
    b = torch.randn(outs, generator=generator, requires_grad=True) if bias else None
    chosen = partial(linear, choice=choice)
    for fast, plain in zip(gradients(chosen, x, weight, b), gradients(F.linear, x, weight, b), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


@onednn
@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient(frozen):
    tensors = {"x": torch.randn(3, 4), "weight": torch.randn(5, 4), "bias": torch.randn(5)}
    for name, tensor in tensors.items():
        tensor.requires_grad_(name != frozen)
    linear(**tensors).sum().backward()
    assert {name for name, tensor in tensors.items() if tensor.grad is None} == {frozen}


@onednn
def test_strides_do_not_matter():
    x, weight = torch.randn(6, 8).t(), torch.randn(6, 10).t()
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=1e-4, atol=1e-5)


def test_other_types_take_the_plain_way():
    x, weight = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


def test_autocast_is_obeyed():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(torch.randn(3, 4), torch.randn(5, 4)).dtype == torch.bfloat16


@onednn
@pytest.mark.parametrize("choice", [ONEDNN, Kernels(weight_gradient="onednn")], ids="-".join)
def test_torch_compile_sees_one_graph(choice):
    model = built()
    use_kernels(model, choice)
    traced = torch.compile(model, backend="aot_eager", fullgraph=True)
    idx = torch.randint(512, (2, 8))
    eager, compiled = (gradients_of(model, f(idx)) for f in (model, traced))
    for name in eager:
        torch.testing.assert_close(compiled[name], eager[name], rtol=1e-4, atol=1e-4)


def test_a_choice_leaves_parameters_as_they_are_and_the_plain_one_leaves_plain_layers():
    model = built()
    before = {name: (id(parameter), parameter.clone()) for name, parameter in model.named_parameters()}
    for choice in (ONEDNN, PLAIN):
        use_kernels(model, choice)
        after = dict(model.named_parameters())
        assert after.keys() == before.keys()
        for name, (identity, value) in before.items():
            assert id(after[name]) == identity and torch.equal(after[name], value)
    assert {type(layer) for layer in model.modules() if isinstance(layer, nn.Linear)} == {nn.Linear}


@onednn
@pytest.mark.parametrize("fast", CHOICES, ids="-".join)
def test_the_faster_library_is_chosen_for_each_product(fast, monkeypatch):
    """The clock is a count of what was computed, and what should lose costs twice as much."""
    now = [0.0]

    def costing(seconds, compute):
        def counted(*tensors):
            now[0] += seconds
            return compute(*tensors)

        return counted

    costly = {
        name: {
            library: costing(1.0 if library == getattr(fast, name) else 2.0, compute)
            for library, compute in libraries.items()
        }
        for name, libraries in kernels.PRODUCTS.items()
    }
    monkeypatch.setattr(kernels, "PRODUCTS", costly)
    monkeypatch.setattr(kernels, "CLOCK", lambda: now[0])
    model = built()
    state = torch.get_rng_state()
    assert choose_kernels(model, rows=64) == fast
    assert torch.equal(torch.get_rng_state(), state)  # the run's random numbers are the same as without


@onednn
def test_a_compiled_model_takes_onednn_only_where_it_gains_more_than_its_calls_cost(monkeypatch):
    """Its compiler cannot look into such a product, nor reuse its memory."""
    seconds = 1e-5
    monkeypatch.setattr(kernels, "_times", lambda *_: {"mkl": seconds, "onednn": 0.85 * seconds})
    assert choose_kernels(built(), 64) == ONEDNN
    assert choose_kernels(built(), 64, compiled=True) == PLAIN
    seconds = 1e-2
    assert choose_kernels(built(), 64, compiled=True) == ONEDNN


@pytest.mark.parametrize("lacking", ["mkldnn", "DEFAULT", "NEON", "SVE256", "operator"])
def test_a_processor_that_onednn_does_not_serve_gets_the_plain_layers(lacking, monkeypatch):
    if lacking == "mkldnn":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    elif lacking == "operator":
        monkeypatch.setattr(kernels, "OPERATOR", "no_such_operator")
    else:  # as PyTorch says on x86 without AVX2, and on ARM
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: lacking)
    assert choose_kernels(built(), rows=64) == PLAIN


def built(config: Config = Config()) -> nn.Module:  # noqa: B008  frozen
    model = build_model(config)
    init_weights(model, config)
    return model


def gradients_of(model, logits):
    model.zero_grad()
    logits.square().sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}
