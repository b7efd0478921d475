"""The products of the linear layers, each by the faster of two libraries, chosen by measurement.

    kernels = choose_kernels(model, rows=batch_size * context)    # some milliseconds; then remembered
    use_kernels(model, kernels)

A linear layer computes three products: its output, the gradient of its input and that of its weight. In
float32 PyTorch leaves all of them to MKL. It ships oneDNN too, but lets `nn.Linear` use it in bfloat16 only.
Which is faster depends on the processor and on the product: on one machine oneDNN takes half the time for
each of them, on another two to three times as long for the weight's gradient. So each is timed, on the shapes
of the model.

Both give the same up to rounding. For the same digits a run writes its choice into its manifest and resumes
with it, and `minigpt.training.kernel_cache` remembers it for the next run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Library = Literal["mkl", "onednn"]  # "mkl" is PyTorch's own way, whatever stands behind it on this machine

OPERATOR = "_linear_pointwise"  # oneDNN's product as PyTorch offers it

ROUNDS = 50  # of each product by each library, in turns, so that bad moments meet both; the fastest counts
ENOUGH_SECONDS = 0.02  # no further round for one product of one shape after that
LARGEST_PRODUCT = 2e8  # operations; a larger one is timed on fewer rows
GAIN = 0.95  # oneDNN is taken if it needs less than this share of MKL's time
CALL_SECONDS = 3e-5  # that a call costs in a compiled model besides, whose compiler cannot look into it


# Processor time of this thread, where the system counts it finely: other programs do not add to it.
FINE = time.get_clock_info("thread_time").resolution <= 1e-6
CLOCK = time.thread_time if FINE else time.perf_counter


class Kernels(NamedTuple):
    """The library of each product."""

    output: Library = "mkl"  # x @ weight.T + bias
    input_gradient: Library = "mkl"  # grad @ weight
    weight_gradient: Library = "mkl"  # grad.T @ x


PLAIN = Kernels()
ONEDNN = Kernels("onednn", "onednn", "onednn")


def has_onednn() -> bool:
    """Return whether oneDNN can make a product of float32 here: PyTorch offers that on x86 with AVX2."""
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, OPERATOR)
    )


def use_kernels(model: nn.Module, kernels: Kernels) -> None:
    """Let every plain `nn.Linear` of a model compute its products by these libraries; parameters stay."""
    for layer in model.modules():
        if type(layer) in (nn.Linear, ChosenLinear):
            layer.__class__ = nn.Linear if kernels == PLAIN else ChosenLinear
            layer.kernels = kernels


def choose_kernels(model: nn.Module, rows: int, *, compiled: bool = False) -> Kernels:
    """Time both libraries on the linear layers of a model and return the faster one for each product.

    Args:
        rows: of the layers' inputs in training: sequences × tokens.
        compiled: whether the model will run under `torch.compile`, where a call of oneDNN costs more.
    """
    if not has_onednn():
        return PLAIN
    shapes = Counter(tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, nn.Linear))
    call = CALL_SECONDS if compiled else 0.0
    return Kernels(**{product: _faster(product, shapes, rows, call) for product in Kernels._fields})


def _faster(product: str, shapes: Counter[tuple[int, int]], rows: int, call: float) -> Library:
    """Return oneDNN if it is faster for one product of all layers, `call` seconds a layer included."""
    totals = dict.fromkeys(PRODUCTS[product], 0.0)
    for (outs, ins), layers in shapes.items():
        timed = max(1, min(rows, int(LARGEST_PRODUCT / (2 * outs * ins))))
        # drawn without torch's generator, which belongs to the run
        x, grad, weight = (torch.full(size, 0.5) for size in ((timed, ins), (timed, outs), (outs, ins)))
        for library, seconds in _times(product, x, grad, weight).items():
            totals[library] += layers * seconds * rows / timed
        totals["onednn"] += layers * call
    return "onednn" if totals["onednn"] < GAIN * totals["mkl"] else "mkl"


def _times(product: str, x: Tensor, grad: Tensor, weight: Tensor) -> dict[Library, float]:
    """Return the least seconds that each library takes, both measured in turns."""
    libraries = PRODUCTS[product]
    with torch.no_grad():
        for compute in libraries.values():
            compute(x, grad, weight)  # the first call prepares what later ones use
        best = dict.fromkeys(libraries, float("inf"))
        began = CLOCK()
        for done in range(ROUNDS):
            if done >= 3 and CLOCK() - began > ENOUGH_SECONDS:
                break
            for library, compute in libraries.items():
                started = CLOCK()
                compute(x, grad, weight)
                best[library] = min(best[library], CLOCK() - started)
    return best


class ChosenLinear(nn.Linear):
    """`nn.Linear`, each of its products computed by the library chosen for it."""

    kernels: Kernels

    def forward(self, x: Tensor) -> Tensor:
        if takes_choice(x, self.weight):
            return _Linear.apply(x, self.weight, self.bias, self.kernels)
        return F.linear(x, self.weight, self.bias)


def takes_choice(x: Tensor, weight: Tensor) -> bool:
    """Return whether a product is one of float32 on a CPU, outside autocast: elsewhere there is no choice."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and (torch.compiler.is_compiling() or torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kernels = kernels
        if kernels.output == "mkl":
            return F.linear(x, weight, bias)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows, grad_rows = x.flatten(0, -2), grad.flatten(0, -2)  # (M, in), (M, out)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            compute = PRODUCTS["input_gradient"][ctx.kernels.input_gradient]
            grad_x = compute(rows, grad_rows, weight).view(x.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = PRODUCTS["weight_gradient"][ctx.kernels.weight_gradient](rows, grad_rows, weight)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_rows.sum(0)
        return grad_x, grad_weight, grad_bias, None


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a @ b.T + bias by oneDNN, for a (..., K) and b (N, K) of any strides."""
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


def _onednn_weight_gradient(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """Return grad.T @ x; oneDNN copies a left side that is transposed, so the narrower one stands there."""
    if weight.shape[0] < weight.shape[1]:
        return _product(grad.t(), x.t())
    return _product(x.t(), grad.t()).t()


# By product and library, what computes it from x (M, in), grad (M, out) and weight (out, in).
PRODUCTS: dict[str, dict[Library, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "output": {
        "mkl": lambda x, grad, weight: F.linear(x, weight),
        "onednn": lambda x, grad, weight: _product(x, weight),
    },
    "input_gradient": {
        "mkl": lambda x, grad, weight: grad.mm(weight),
        "onednn": lambda x, grad, weight: _product(grad, weight.t()),
    },
    "weight_gradient": {
        "mkl": lambda x, grad, weight: grad.t().mm(x),
        "onednn": _onednn_weight_gradient,
    },
}
