"""The fast linear layer against the plain formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.config import Config
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.kernels import linear, onednn_takes

onednn = pytest.mark.skipif(
    not onednn_takes(torch.ones(1, 1), torch.ones(1, 1)), reason="oneDNN serves x86 processors only"
)
SIZES = st.integers(1, 40)


def gradients(product, *tensors):
    """Return the product's value and its gradient for every tensor that asks for one."""
    copies = [t if t is None else t.detach().clone().requires_grad_(t.requires_grad) for t in tensors]
    y = product(*copies)
    y.backward(torch.linspace(-1, 1, y.numel()).view_as(y))
    return y, *(t.grad for t in copies if t is not None and t.requires_grad)


@onednn
@given(lead=st.lists(st.integers(1, 7), min_size=1, max_size=3), ins=SIZES, outs=SIZES, bias=st.booleans())
@settings(max_examples=60, deadline=None)
def test_value_and_gradients_are_those_of_the_plain_formula(lead, ins, outs, bias):
    generator = torch.Generator().manual_seed(ins * outs)
    x = torch.randn(*lead, ins, generator=generator, requires_grad=True)
    weight = torch.randn(outs, ins, generator=generator, requires_grad=True)
    b = torch.randn(outs, generator=generator, requires_grad=True) if bias else None
    for fast, plain in zip(gradients(linear, x, weight, b), gradients(F.linear, x, weight, b), strict=True):
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
    assert not onednn_takes(x, weight)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


def test_autocast_is_obeyed():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(torch.randn(3, 4), torch.randn(5, 4)).dtype == torch.bfloat16


@onednn
def test_torch_compile_sees_one_graph():
    model = build_model(Config())
    init_weights(model, Config())
    traced = torch.compile(model, backend="aot_eager", fullgraph=True)
    idx = torch.randint(512, (2, 8))
    eager, compiled = (gradients_of(model, f(idx)) for f in (model, traced))
    for name in eager:
        torch.testing.assert_close(compiled[name], eager[name], rtol=1e-4, atol=1e-4)


def gradients_of(model, logits):
    model.zero_grad()
    logits.square().sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}
