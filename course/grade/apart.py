"""Call a learner's answer in a process of its own, as if it were here.

A probe runs in a process that no learner's code ever enters. Whenever it calls the answer, this process
forks: the child gives up its rights, runs the learner's cells, calls the answer on the very arguments, and
sends plain data back: the returned value, and what happened to the tensors and modules it was given. A
returned tensor that depends on them keeps its child alive to answer `backward()`.

    answer = Apart(remote)     # remote(task): a confined child runs task(answer, channel)
    check.probe(answer, case)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from course.grade.wire import Broken
from course.probing import Unusable

MAX_TEXT = 1_000


class Apart:
    """Stands for a function that the learner wrote."""

    def __init__(self, remote: Callable):
        self._remote = remote

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = _leaves([args, kwargs])
        channel, reply = self._remote(lambda answer, channel: _serve(answer, channel, args, kwargs, given))
        _write_back(given, reply["given"])
        return _rebuild(reply["value"], given, channel)


def value_of(remote: Callable) -> object:
    """A learner's answer that is no function: its plain value."""
    channel, reply = remote(lambda answer, channel: {"value": _flat(answer, [], []), "given": []})
    return _rebuild(reply["value"], [], channel)


def serve_gradients(channel: object, outputs: list, given: list) -> None:
    """In the child, after its reply: answer requests for gradients until nobody asks."""
    leaves = [tensor for tensor in _tensors(given) if tensor.requires_grad]
    while outputs:
        try:
            asked = channel.receive()
        except Broken:
            return
        output = outputs[asked["output"]]
        gradient = torch.from_numpy(asked["gradient"]).to(output.dtype)
        found = torch.autograd.grad(output, leaves, gradient, retain_graph=True, allow_unused=True)
        channel.send({"gradients": [None if g is None else _array(g) for g in found]})


def _serve(answer: Callable, channel: object, args: tuple, kwargs: dict, given: list) -> dict:
    outputs: list = []
    value = _flat(answer(*args, **kwargs), given, outputs)
    channel.outputs, channel.given = outputs, given
    return {"value": value, "given": [_state(leaf) for leaf in given]}


def _leaves(value: object) -> list:
    """The tensors and modules in nested lists, tuples and dicts, each once."""
    found: list = []
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, (torch.Tensor, torch.nn.Module, np.ndarray)):
            if not any(item is other for other in found):
                found.append(item)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    return found


def _tensors(given: list) -> list:
    found = []
    for leaf in given:
        if isinstance(leaf, torch.nn.Module):
            found += leaf.parameters()
        elif isinstance(leaf, torch.Tensor):
            found.append(leaf)
    return found


def _named(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return parameters | dict(module.named_buffers(remove_duplicate=False))


def _state(leaf: object) -> object:
    """What an argument looks like after the call."""
    if isinstance(leaf, np.ndarray):
        return {"data": leaf}
    if isinstance(leaf, torch.Tensor):
        return {"data": _array(leaf), "grad": None if leaf.grad is None else _array(leaf.grad)}
    named = _named(leaf)
    first: dict[int, str] = {}
    ties = {name: first.setdefault(id(tensor), name) for name, tensor in named.items()}
    return {"ties": ties, "tensors": {name: _state(named[name]) for name in set(ties.values())}}


def _write_back(given: list, states: list) -> None:
    if len(given) != len(states):
        raise Unusable("check.unreadable", what="arguments")
    for leaf, state in zip(given, states, strict=True):
        if isinstance(leaf, torch.nn.Module):
            _write_module(leaf, state)
        elif isinstance(leaf, torch.Tensor):
            _write_tensor(leaf, state)
        elif state["data"].shape == leaf.shape and leaf.flags.writeable:
            leaf[...] = state["data"]


def _write_tensor(leaf: torch.Tensor, state: dict) -> None:
    with torch.no_grad():
        data = torch.from_numpy(state["data"]).to(leaf.dtype)
        if data.shape == leaf.shape:
            leaf.data.copy_(data)
        else:
            leaf.data = data
    if state["grad"] is not None:
        leaf.grad = torch.from_numpy(state["grad"]).to(leaf.dtype)


def _write_module(module: torch.nn.Module, state: dict) -> None:
    """Bring names, ties and values over; tensors that are still the same keep their identity."""
    named = _named(module)
    first: dict[int, str] = {}
    ties = {name: first.setdefault(id(tensor), name) for name, tensor in named.items()}
    if ties != state["ties"]:
        fresh = {}
        for name in state["tensors"]:
            data = torch.from_numpy(state["tensors"][name]["data"])
            fresh[name] = named[name] if name in named else torch.nn.Parameter(data.float())
        taken: set[int] = set()
        for name, tensor in fresh.items():  # a tie that was broken: the second name gets a tensor of its own
            if id(tensor) in taken:
                fresh[name] = torch.nn.Parameter(tensor.detach().clone())
            taken.add(id(fresh[name]))
        for name in named.keys() | state["ties"].keys():
            path, _, attribute = name.rpartition(".")
            tensor = fresh[state["ties"][name]] if name in state["ties"] else None
            setattr(module.get_submodule(path), attribute, tensor)
        named = _named(module)
    for name, values in state["tensors"].items():
        _write_tensor(named[name], values)


def _flat(value: object, given: list, outputs: list, depth: int = 0) -> object:
    """Describe a returned value in plain data."""
    for index, leaf in enumerate(given):
        if value is leaf:
            return {"kind": "given", "index": index}
    if isinstance(value, torch.Tensor):
        flat = {"kind": "tensor", "dtype": str(value.dtype).removeprefix("torch."), "data": _array(value)}
        if value.requires_grad:
            outputs.append(value)
            flat["output"] = len(outputs) - 1
        return flat
    if isinstance(value, (np.ndarray, np.number)):
        return {"kind": "numpy", "data": np.asarray(value)}
    if value is None or type(value) in (bool, int, float, str):
        return {"kind": "plain", "data": value}
    if isinstance(value, (list, tuple)) and depth < 5:
        items = [_flat(item, given, outputs, depth + 1) for item in value]
        return {"kind": "tuple" if isinstance(value, tuple) else "list", "items": items}
    if isinstance(value, dict) and depth < 5:
        pairs = [[_flat(part, given, outputs, depth + 1) for part in pair] for pair in value.items()]
        return {"kind": "dict", "items": pairs}
    return {"kind": "other", "type": type(value).__name__, "text": str(value)[:MAX_TEXT]}


def _rebuild(flat: dict, given: list, channel: object) -> object:
    kind = flat["kind"]
    if kind == "given":
        return given[flat["index"]]
    if kind == "tensor":
        dtype = getattr(torch, flat["dtype"])
        tensor = torch.from_numpy(flat["data"]).to(dtype)
        if "output" not in flat:
            return tensor
        leaves = [leaf for leaf in _tensors(given) if leaf.requires_grad]
        if not leaves:
            return tensor.requires_grad_()
        return _Remote.apply(tensor, channel, flat["output"], *leaves)
    if kind in ("numpy", "plain"):
        return flat["data"]
    if kind in ("list", "tuple"):
        items = [_rebuild(item, given, channel) for item in flat["items"]]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {_rebuild(k, given, channel): _rebuild(v, given, channel) for k, v in flat["items"]}
    text = str(flat["text"])
    return type(str(flat["type"]), (), {"__str__": lambda self: text, "__repr__": lambda self: text})()


class _Remote(torch.autograd.Function):
    """A tensor whose graph lives in the child."""

    @staticmethod
    def forward(ctx, tensor, channel, output, *leaves):
        ctx.channel, ctx.output, ctx.leaves = channel, output, leaves
        return tensor.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.channel.send({"output": ctx.output, "gradient": _array(gradient)})
        found = ctx.channel.receive()["gradients"]
        tensors = [
            None if item is None else torch.from_numpy(item).to(leaf.dtype).reshape(leaf.shape)
            for item, leaf in zip(found, ctx.leaves, strict=True)
        ]
        return None, None, None, *tensors


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.dtype not in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        tensor = tensor if tensor.dtype in (torch.float16, torch.float32) else tensor.double()
    return tensor.contiguous().numpy()
