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

HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


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
    """Whether the product is one of float32 on an x86 CPU, outside autocast."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and (torch.compiler.is_compiling() or torch.backends.mkldnn.enabled)
        and HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
    )


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a @ b.T + bias for a (..., K) and b (N, K), of any strides."""
    if torch.compiler.is_compiling():
        return _opaque_product(a, b, bias)
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")


@torch.library.custom_op("minigpt::product", mutates_args=())
def _opaque_product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """The same, as one step that `torch.compile` does not look into."""
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")


@_opaque_product.register_fake
def _(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return a.new_empty(*a.shape[:-1], len(b))


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
