"""Do predictions teach the weights that they were made with?

Weights can have a gradient and none of it from what they do: rounded weights that learn through their scale
alone, or a router of experts that only a loss for balance reaches. So a few rows are run once more, and the
gradient of their logits is asked for by weights, without any other term of a loss. What comes is compared
with the slope (`minigpt.monitor.slope`).

    cut_off(model, call, embeddings, head, logits_in)
    # {"router": "layers.0.moe.gate", "reached": 2e-8, "rounded": 0, "asked": 9, "slope": 1.0}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from minigpt.model.state import memory_of
from minigpt.monitor.by_hand import computes_again, functions_by_hand, returns_its_input
from minigpt.monitor.future import ROWS, Call, left_as_it_is, not_compiled, run_rows
from minigpt.monitor.slope import StepsSeen, slope

PLACES = 16  # of a row whose logits are asked
MATRICES = 16  # that are asked, beside routers
FEWEST = 8  # numbers in a row of a matrix before it is odd that all have a gradient of one size
ALIKE = 1e-3  # spread of sizes that are one


def cut_off(
    model: nn.Module,
    call: Call,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
) -> dict[str, Any]:
    """Return which router the logits reach least, and how many matrices they reach through a scale alone.

    Returns:
        `asked` matrices, `rounded` ones among them and the first of those by `name`; and with experts the
        name of a `router` and `reached`, the size of its gradient in the usual one of a matrix. Also `slope`,
        what logits change ÷ what gradients say, and where that is not 1 the matrix `at` which it is so, and
        whether a backward pass `by_hand` is on the way, or it is so `only_in_training`. Nothing where logits
        cannot be caught.
    """
    ids, names = call.ids, {parameter: name for name, parameter in model.named_parameters()}
    routers = [weight for weight in _routers(model) if weight in names]
    others = {id(weight) for weight in (*routers, *(table.weight for table in embeddings))}
    linear = [m.weight for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    linear = _some(w for w in linear if w in names and w.requires_grad and id(w) not in others)
    others |= {id(head.weight)} if isinstance(head, nn.Linear) else set()
    matrices = _some(w for w in names if w.ndim == 2 and w.requires_grad and id(w) not in others)
    asked = [*linear, *routers]
    devices = [ids.device] if ids.is_cuda else []
    rows = torch.arange(min(len(ids), ROWS), device=ids.device)

    def run() -> Tensor | None:
        _, logits = run_rows(model, call, embeddings, head, logits_in, rows)
        fits = logits is not None and logits.ndim == 3 and len(logits) == len(rows)
        return logits[:, :: max(1, logits.shape[1] // PLACES)].float() if fits else None

    if not linear:
        return {}
    with torch.random.fork_rng(devices), torch.enable_grad(), left_as_it_is(model), not_compiled():
        learning = [module for module in model.modules() if module.training]
        model.eval()
        memory = memory_of(model)
        with StepsSeen() as steps:
            logits = run()
        if logits is None or not logits.requires_grad:
            return {}
        torch.manual_seed(0)
        mixture = torch.randn(logits.shape, device=logits.device)
        found = torch.autograd.grad((logits * mixture).sum(), asked, allow_unused=True)
        reached = dict(zip(asked, found, strict=True))
        sizes = [_size(g) for w in linear if (g := reached[w]) is not None and g.any()]
        if not sizes:
            return {}
        usual = sorted(sizes)[len(sizes) // 2]
        rounded = [w for w in linear if (g := reached[w]) is not None and _has_one_size(g)]
        answer = {"asked": len(linear), "rounded": len(rounded)}
        answer |= {"name": names[rounded[0]]} if rounded else {}
        written = any(not torch.equal(tensor, memory[name]) for name, tensor in memory_of(model).items())
        if not steps.found and not written:  # what is written is not what a gradient is of
            with suppress(Exception):  # an external model may raise anything, and the rest is known
                answer |= _slope(model, learning, matrices, names, run, mixture)
            model.eval()
        shares = {
            weight: 0.0 if reached[weight] is None else _size(reached[weight]) / usual
            for weight in routers
            if reached[weight] is not None or _matters(weight, run, logits)
        }
    if shares:
        least = min(shares, key=lambda weight: shares[weight])
        answer |= {"router": names[least], "reached": shares[least]}
    return answer


def _slope(
    model: nn.Module,
    learning: list[nn.Module],
    matrices: list[nn.Parameter],
    names: dict[Tensor, str],
    run: Callable[[], Tensor | None],
    mixture: Tensor,
) -> dict[str, Any]:
    """Return whether the gradients are the slope, and else where they are not.

    Where a part is computed again in the backward pass it is asked once more as the model learns, with the
    dropout of one seed: the second time may draw another one.

    Args:
        learning: its modules in training mode.
    """
    if any(getattr(getattr(m, "config", None), "use_stop_gradient", False) for m in model.modules()):
        return {}  # a way is left out on purpose

    def seeded() -> Tensor:
        torch.manual_seed(0)
        return run()

    def ask() -> tuple[dict[str, Any], Tensor]:
        logits = seeded()
        found = torch.autograd.grad((logits * mixture).sum(), matrices, allow_unused=True)
        asked = [
            (weight, gradient)
            for weight, gradient in zip(matrices, found, strict=True)
            if gradient is not None
        ]
        size = float(torch.linalg.vector_norm(logits.detach().double()))
        answer = slope(
            [weight.data for weight, _ in asked],
            [gradient for _, gradient in asked],
            lambda: (seeded().double() * mixture).sum(),
            size,
        )
        return answer | ({"at": names[asked[answer["at"]][0]]} if "at" in answer else {}), logits

    answer, logits = ask()
    by_hand = functions_by_hand(logits)
    if answer == {"slope": 1.0} and any(map(_drops, learning)) and computes_again(model):
        for module in learning:
            module.training = True
        answer = ask()[0]
        return answer | {"only_in_training": True} if "at" in answer else answer
    if "at" in answer and by_hand and returns_its_input(by_hand, run):
        return {}  # it is there to change the gradient
    return answer | {"by_hand": bool(by_hand)} if "at" in answer else answer


def _drops(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0


def _some(weights: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return some of the weights, from all depths."""
    every = list(weights)
    return every[:: max(1, len(every) // MATRICES)][:MATRICES]


def _routers(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of layers that stand beside experts, and have an output for each of them."""
    found = []
    for module in model.modules():
        children = dict(module.named_children())
        counts = {
            len(child)
            for child in children.values()
            if isinstance(child, nn.ModuleList) and len({type(entry) for entry in child}) == 1
        }
        # a matrix for each expert, and no convolution, which has one filter for each channel
        parts = [part for part in (*children.values(), module) if not isinstance(part, _ConvNd)]
        stacks = [p for part in parts for p in part.parameters(recurse=False) if p.ndim == 3]
        counts |= {p.shape[0] for p in stacks if min(p.shape[1:]) > 1}
        counts.discard(1)
        for child in children.values():
            if isinstance(child, nn.ModuleList) or not counts:
                continue
            weights = [p for p in child.parameters() if p.ndim == 2 and p.requires_grad]
            found += [weight for weight in weights[-1:] if weight.shape[0] in counts]
    return found


@torch.no_grad()
def _matters(weight: nn.Parameter, run: Callable[[], Tensor | None], before: Tensor) -> bool:
    """Return whether other logits come out with another weight, which is put back."""
    kept = weight.data
    try:
        weight.data = kept + kept.square().mean().sqrt() * torch.randn_like(kept)
        after = run()
    finally:
        weight.data = kept
    return after is not None and not torch.allclose(after, before, rtol=1e-3, atol=1e-5)


def _size(gradient: Tensor) -> float:
    return float(gradient.float().square().mean().sqrt())


def _has_one_size(gradient: Tensor) -> bool:
    """Return whether all numbers of each row that are not 0 have one size, as a scale alone gives them."""
    if gradient.ndim != 2 or gradient.shape[1] < FEWEST or not gradient.any():
        return False
    sizes = gradient.abs().float()
    largest = sizes.amax(-1, keepdim=True)
    return bool(((sizes == 0) | (sizes >= (1 - ALIKE) * largest)).all())
