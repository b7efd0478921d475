"""The linear layer, computed by the faster of two libraries.

    linear(x, weight, bias)    is F.linear(x, weight, bias), up to the rounding of float32

In float32 `F.linear` calls MKL, which keeps its AVX-512 code for the processors of one maker. oneDNN, which
PyTorch ships too and calls in bfloat16, asks the processor what it can do: on an AMD EPYC it makes the
products of a small GPT about twice as fast. `benchmarks/speed.py` has the figures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """`nn.Linear`, computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,).
    """
    if onednn_takes(x, weight):
        return _OneDNNLinear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


def onednn_takes(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is one of float32 on an x86 CPU, outside autocast and `torch.compile`."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and torch.backends.mkldnn.enabled
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a @ b.T + bias for a (M, K) and b (N, K), of any strides."""
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(grad, weight.t())
        rows, grad_rows = x.flatten(0, -2), grad.flatten(0, -2)  # (M, in), (M, out)
        if ctx.needs_input_grad[1]:
            # oneDNN copies a left side that is transposed, so the narrower of the two stands there
            if weight.shape[0] < weight.shape[1]:
                grad_weight = _product(grad_rows.t(), rows.t())
            else:
                grad_weight = _product(rows.t(), grad_rows.t()).t()
        if ctx.needs_input_grad[2]:
            grad_bias = grad_rows.sum(0)
        return grad_x, grad_weight, grad_bias
