"""The layers of an external model that tell of its tokens and logits, found by the size of its vocabulary.

layers = find_layers(model, vocab_size=50257)
layers.heads                # {"lm_head": Linear(...)}, all that might make the logits
"""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass

from torch import Tensor, nn

LARGEST = 200_000_000  # numbers in a model of which a copy is made
PADDED = 1024  # rows that a vocabulary may have more than it has tokens, for the speed of it
MIXING = re.compile(r"(?i)att(n|ention)|rnn|lstm|gru|conv|mamba|ssm|mixer|retention|rwkv|hyena")
POSITIONS = ("pos", "wpe")  # in the name of a table of positions, which may have as many rows, too


@dataclass(frozen=True)
class Layers:
    """Layers by name, and the part of the model that holds them."""

    sizes: range  # rows that a layer of the vocabulary may have
    embeddings: dict[str, nn.Embedding]
    heads: dict[str, nn.Module]  # in a small model several layers can have that size
    language_model: nn.Module  # holds embedding and head
    language_model_name: str
    knows_vocabulary: bool  # whether any parameter has that size
    mixes: bool  # whether a part is there, by its name, that carries something from token to token
    compiled: set[str]  # hooks would do nothing there, but make it be compiled once more


def find_layers(model: nn.Module, vocab_size: int) -> Layers:
    """Return the layers of a model that have the size of its vocabulary."""
    modules, sizes = dict(model.named_modules()), range(vocab_size, vocab_size + PADDED)
    tables = {
        name: module
        for name, module in modules.items()
        if isinstance(module, nn.Embedding) and module.num_embeddings in sizes
    }
    tokens = {name: table for name, table in tables.items() if not any(p in name for p in POSITIONS)}
    embeddings = tokens or tables
    heads = {
        name: module
        for name, module in modules.items()
        if not isinstance(module, nn.Embedding) and _rows(module) in sizes
    }
    tied = {id(module.weight) for module in embeddings.values()}
    heads = {name: module for name, module in heads.items() if id(module.weight) in tied} or heads
    ends = [*list(embeddings)[:1], *list(heads)[-1:]]
    whole = os.path.commonprefix([name.split(".") for name in ends])
    while whole and whole[-1] == "_orig_mod":  # what torch.compile wraps is not called itself
        whole.pop()
    name = ".".join(whole)
    return Layers(
        sizes=sizes,
        embeddings=embeddings,
        heads=heads,
        language_model=modules[name] if len(ends) > 1 else model,
        language_model_name=name,
        knows_vocabulary=any(
            parameter.ndim > 0 and parameter.shape[0] in sizes for parameter in model.parameters()
        ),
        mixes=any(MIXING.search(type(module).__name__) for module in modules.values()),
        compiled=compiled(modules),
    )


def token_table(model: nn.Module, layers: Layers) -> Tensor | None:
    """Return the token embedding, (V or more, C), whatever its name; None where no such table is found."""
    if layers.embeddings:
        return next(iter(layers.embeddings.values())).weight
    heads = {id(parameter) for head in layers.heads.values() for parameter in head.parameters(recurse=False)}
    bare = (
        p for p in model.parameters() if p.ndim == 2 and p.shape[0] in layers.sizes and id(p) not in heads
    )
    return next(bare, None)


def compiled(modules: dict[str, nn.Module]) -> set[str]:
    """Return the names of modules that are called from within what torch.compile made."""
    found: set[str] = set()
    for name, module in modules.items():  # parents come before their children
        parent = name.rpartition(".")[0]
        inside = name and (parent in found or _wraps_compiled(modules.get(parent)))
        if inside or getattr(module, "_compiled_call_impl", None) is not None:
            found.add(name)
    return found


def copied_easily(model: nn.Module) -> bool:
    """Return whether a model is small enough, and plain enough, to make a copy of it."""
    small = sum(parameter.numel() for parameter in model.parameters()) <= LARGEST
    return small and not compiled(dict(model.named_modules()))


def is_sharded(module: nn.Module) -> bool:
    """Return whether a call of it waits for other processes, which a probe must not."""
    return "FullyShardedDataParallel" in type(module).__name__ or type(module).__name__.startswith("FSDP")


def _wraps_compiled(module: nn.Module | None) -> bool:
    return type(module).__name__ == "OptimizedModule"  # to import it would take seconds


def _rows(module: nn.Module) -> int | None:
    weight = getattr(module, "weight", None)
    return weight.shape[0] if isinstance(weight, Tensor) and weight.ndim == 2 else None
