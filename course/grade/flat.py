"""Values as plain data and back: what a learner's call returned, and what it did to its arguments.

In the learner's process `flatten` and `state_of` describe; in the prober `rebuild` and `write_back` make
tensors, lists and changed arguments of the description, so that a probe finds what it would find beside the
learner's code.

An argument of a lesson's own class is described by itself, if it has `report() -> plain data` and
`accept(plain data)`.

An iterator that can be read once, such as a generator, is read where it is, and arrives as one of the same
name: what it raises on the way, it raises when a probe gets there, as it does beside the learner's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from course.probing import Unusable

MAX_TEXT = 1_000
MAX_LAZY = 2_000  # items that a returned iterator is asked for; three of a frame each, and more
MAX_LEVELS = 5


def leaves(value: object) -> list:
    """The tensors, modules and reporting objects in nested lists, tuples and dicts, each once."""
    found: list = []
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, (torch.Tensor, torch.nn.Module, np.ndarray)) or _reports(item):
            if not any(item is other for other in found):
                found.append(item)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    return found


def tensors_of(given: list) -> list:
    """The tensors among the leaves, those of modules included."""
    found = []
    for leaf in given:
        if isinstance(leaf, torch.nn.Module):
            found += leaf.parameters()
        elif isinstance(leaf, torch.Tensor):
            found.append(leaf)
    return found


def state_of(leaf: object) -> object:
    """What an argument looks like after the call."""
    if isinstance(leaf, np.ndarray):
        return {"data": leaf}
    if isinstance(leaf, torch.Tensor):
        return {"data": array_of(leaf), "grad": None if leaf.grad is None else array_of(leaf.grad)}
    state = {"report": leaf.report()} if _reports(leaf) else {}
    if not isinstance(leaf, torch.nn.Module):
        return state
    named = _named(leaf)
    first: dict[int, str] = {}
    ties = {name: first.setdefault(id(tensor), name) for name, tensor in named.items()}
    modules = dict(leaf.named_modules())
    return state | {
        "ties": ties,
        "tensors": {name: state_of(named[name]) for name in set(ties.values())},
        "training": {name: bool(module.training) for name, module in modules.items()},
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules.values()),
    }


def write_back(given: list, states: list) -> None:
    """Make the arguments look as they were described.

    Raises:
        Unusable: the descriptions do not fit them.
    """
    if len(given) != len(states):
        raise Unusable("check.unreadable", what="arguments")
    for leaf, state in zip(given, states, strict=True):
        try:
            if "report" in state:
                leaf.accept(state["report"])
            if isinstance(leaf, torch.nn.Module):
                _write_module(leaf, state)
            elif isinstance(leaf, torch.Tensor):
                _write_tensor(leaf, state)
            elif isinstance(leaf, np.ndarray) and state["data"].shape == leaf.shape and leaf.flags.writeable:
                leaf[...] = state["data"]
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
            raise Unusable("check.unreadable", what=type(error).__name__) from None


def flatten(
    value: object, given: list, outputs: list, objects: list, blame: Callable, depth: int = 0
) -> object:
    """Describe a returned value; tensors with a graph go to `outputs`, what only has methods to `objects`.

    `blame` describes what an iterator raised.
    """

    def below(item: object) -> object:
        return flatten(item, given, outputs, objects, blame, depth + 1)

    for index, leaf in enumerate(given):
        if value is leaf:
            return {"kind": "given", "index": index}
        if isinstance(value, torch.nn.Parameter) and isinstance(leaf, torch.nn.Module):
            for name, parameter in leaf.named_parameters():
                if value is parameter:
                    return {"kind": "part", "index": index, "name": name}
    if isinstance(value, torch.Tensor):
        flat = {"kind": "tensor", "dtype": str(value.dtype).removeprefix("torch."), "data": array_of(value)}
        if value.requires_grad:
            outputs.append(value)
            flat["output"] = len(outputs) - 1
        return flat
    if isinstance(value, (np.ndarray, np.number, np.bool_)):
        return {"kind": "numpy", "data": np.asarray(value)}
    if value is None or type(value) in (bool, int, float, str):
        return {"kind": "plain", "data": value}
    if value is Ellipsis:
        return {"kind": "ellipsis"}
    if type(value) in (bytes, bytearray, memoryview):
        return {"kind": "bytes", "data": np.frombuffer(bytes(value), dtype=np.uint8)}
    if depth < MAX_LEVELS:
        if isinstance(value, (list, tuple, set, frozenset, range)):
            kinds = {list: "list", tuple: "tuple", range: "list"}
            kind = next((kind for base, kind in kinds.items() if isinstance(value, base)), "set")
            return {"kind": kind, "items": [below(item) for item in value]}
        if isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            items, failure = _read(value, blame)
            read = {"kind": "iterator", "type": type(value).__name__, "items": [below(i) for i in items]}
            return read if failure is None else read | {"failure": failure}
        if isinstance(value, dict):
            return {"kind": "dict", "items": [[below(key), below(item)] for key, item in value.items()]}
    objects.append(value)
    text = "" if depth else str(value)[:MAX_TEXT]
    return {"kind": "object", "type": type(value).__name__, "text": text, "object": len(objects) - 1}


def rebuild(flat: dict, given: list, session: object) -> object:
    """The value of a description; objects stay where they are, and can be called through the session."""
    kind = flat["kind"]
    if kind == "given":
        return given[flat["index"]]
    if kind == "part":
        return dict(given[flat["index"]].named_parameters())[flat["name"]]
    if kind == "tensor":
        tensor = torch.from_numpy(flat["data"]).to(getattr(torch, flat["dtype"]))
        if "output" not in flat:
            return tensor
        leaves = [leaf for leaf in tensors_of(given) if leaf.requires_grad]
        if not leaves:
            return tensor.requires_grad_()
        return _Remote.apply(tensor, session, flat["output"], *leaves)
    if kind in ("numpy", "plain"):
        return flat["data"]
    if kind == "ellipsis":
        return ...
    if kind == "bytes":
        return flat["data"].astype(np.uint8).tobytes()
    if kind == "dict":
        return {rebuild(k, given, session): rebuild(v, given, session) for k, v in flat["items"]}
    if kind == "object":
        return _object(str(flat["type"]), str(flat["text"]), flat["object"], session)
    items = [rebuild(item, given, session) for item in flat["items"]]
    if kind == "iterator":
        return _iterator(str(flat["type"]), items, session.raised(flat) if "failure" in flat else None)
    return {"list": list, "tuple": tuple, "set": frozenset}[kind](items)


def _read(iterator: Iterator, blame: Callable) -> tuple[list, dict | None]:
    """What it gives, and the description of what it raised then."""
    items: list = []
    try:
        while len(items) < MAX_LAZY:
            items.append(next(iterator))
    except StopIteration:
        return items, None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return items, blame(error)
    return items, None


def _iterator(name: str, items: list, error: Exception | None) -> Iterator:
    """Give the items, then raise the error; a generator is one, and the others are called as they were."""

    def generator():
        yield from items
        if error is not None:
            raise error

    found = generator()
    if name == "generator":
        return found
    members = {"__iter__": lambda self: self, "__next__": lambda self: next(found)}
    return type(name, (), members)()


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """A tensor's numbers."""
    tensor = tensor.detach().cpu()
    if tensor.dtype not in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        tensor = tensor if tensor.dtype in (torch.float16, torch.float32) else tensor.double()
    return tensor.contiguous().numpy()


def _reports(value: object) -> bool:
    return hasattr(type(value), "report") and hasattr(type(value), "accept")


def _object(name: str, text: str, number: int, session: object) -> object:
    """Stands for an object in the learner's process: its methods can be called."""

    def attribute(self, method: str):
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args: object, **kwargs: object) -> object:
            return session.call(args, kwargs, number, method)

        call.again = lambda *args, **kwargs: session.call(args, kwargs, number, method, again=True)
        return call

    members = {"__str__": lambda self: text, "__repr__": lambda self: text, "__getattr__": attribute}
    return type(name, (), members)()


def _named(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return parameters | dict(module.named_buffers(remove_duplicate=False))


def _write_tensor(leaf: torch.Tensor, state: dict) -> None:
    with torch.no_grad():
        data = torch.from_numpy(state["data"]).to(leaf.dtype)
        if data.shape == leaf.shape:
            leaf.data.copy_(data)
        else:
            leaf.data = data
    if leaf.is_leaf:
        leaf.grad = None if state["grad"] is None else torch.from_numpy(state["grad"]).to(leaf.dtype)


def _write_module(module: torch.nn.Module, state: dict) -> None:
    """Bring names, ties, values and modes over; tensors that are still the same keep their identity."""
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
    for name, part in module.named_modules():
        part.training = bool(state["training"].get(name, part.training))
    for _ in range(min(int(state["hooks"]), 100)):
        module.register_forward_hook(_nothing)


def _nothing(module: torch.nn.Module, arguments: tuple, output: object) -> None:
    """Stands for a hook that the learner's code left."""


class _Remote(torch.autograd.Function):
    """A tensor whose graph lives in the learner's process."""

    @staticmethod
    def forward(ctx, tensor, session, output, *leaves):
        ctx.session, ctx.output, ctx.leaves = session, output, leaves
        return tensor.clone()

    @staticmethod
    def backward(ctx, gradient):
        found = ctx.session.gradients(ctx.output, array_of(gradient))
        tensors = [
            None if item is None else torch.from_numpy(item).to(leaf.dtype).reshape(leaf.shape)
            for item, leaf in zip(found, ctx.leaves, strict=True)
        ]
        return None, None, None, *tensors
