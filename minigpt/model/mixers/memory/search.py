"""The search of the long-term memory: the k slots whose keys have the largest inner product with a query.

`exact` compares with every slot. `faiss` asks FAISS (Johnson et al., 2017), which is installed apart
(`pip install minigpt-break-and-fix[faiss]`), for the same: its flat index is exact, too. It pays where slots
are many.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from minigpt.messages import MiniGPTError

Search = Callable[[Tensor, Tensor, int], Tensor]


def exact(queries: Tensor, keys: Tensor, k: int) -> Tensor:
    """Return the indices (N, k) of the best of `keys` (L, C) for `queries` (N, C), the best first."""
    return (queries @ keys.mT).topk(k, dim=-1).indices


def faiss_flat(queries: Tensor, keys: Tensor, k: int) -> Tensor:
    """Return what `exact` returns, found by FAISS."""
    import faiss

    index = faiss.IndexFlatIP(keys.shape[1])
    index.add(keys.float().cpu().numpy())
    _, found = index.search(queries.float().cpu().numpy(), k)
    return torch.from_numpy(found).to(queries.device)


def find_search(name: str) -> Search:
    """Return the search that a config names.

    Raises:
        MiniGPTError: FAISS is asked for and not installed, or cannot be loaded.
    """
    if name == "exact":
        return exact
    if find_spec("faiss") is None:
        raise MiniGPTError("memory.no-faiss")
    try:
        import faiss  # noqa: F401  an installation may lack a library, or be built for another NumPy
    except ImportError as error:
        raise MiniGPTError("memory.broken-faiss", detail=" ".join(str(error).split())) from error
    return faiss_flat
