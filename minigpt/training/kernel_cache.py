"""Which kernels a run uses: what its config or its manifest says, else what was measured on this machine.

    kernels_for(config, model, recorded=None)

A choice is remembered in `~/.cache/minigpt/kernels.json` (below XDG_CACHE_HOME where that is set), by
processor, threads, PyTorch and shapes, so that runs of one config on one machine give the same digits. A file
that cannot be read counts as empty; one that cannot be written leaves the choice to this process alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.kernels import ONEDNN, PLAIN, Kernels, Library, choose_kernels, has_onednn

MOST_REMEMBERED = 200  # choices; the oldest go
_here: dict[str, Kernels] = {}  # choices of this process, where there is no file to keep them


def kernels_for(config: Config, model: nn.Module, device_type: str, recorded: Any = None) -> Kernels:
    """Return the kernels of a run.

    Args:
        device_type: where it computes; there is a choice on "cpu" only, and in fp32.
        recorded: what the manifest of a run says that is resumed.

    Raises:
        MiniGPTError: the config asks for oneDNN, and PyTorch has none for this processor.
    """
    if config.kernels == "onednn" and not has_onednn():
        raise MiniGPTError("train.no-onednn", processor=processor())
    if device_type != "cpu" or config.precision != "fp32" or config.kernels == "mkl":
        return PLAIN
    if config.kernels == "onednn":
        return ONEDNN
    if (found := _valid(recorded)) is not None:
        return found if has_onednn() else PLAIN
    rows = config.batch_size * config.context
    key = _key(model, rows, config.compile)
    found = _here.get(key) or _valid(_read().get(key))
    if found is None or not has_onednn():
        found = choose_kernels(model, rows, compiled=config.compile)
        _remember(key, found)
    _here[key] = found
    return found


def processor() -> str:
    """Return the processor's name, as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cache_file() -> Path:
    """Return where choices are remembered."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(folder) / "minigpt" / "kernels.json"


def _key(model: nn.Module, rows: int, compiled: bool) -> str:
    """Return whatever a measurement depends on, as one line."""
    shapes = sorted({tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, nn.Linear)})
    return " · ".join(
        [
            processor(),
            torch.backends.cpu.get_cpu_capability(),
            os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
            f"{torch.get_num_threads()} threads",
            f"torch {torch.__version__}",
            f"{rows} rows",
            " ".join(f"{outs}x{ins}" for outs, ins in shapes),
            *(["compiled"] if compiled else []),
        ]
    )


def _valid(found: Any) -> Kernels | None:
    """Return what a file says as kernels; None if it says something else."""
    if not isinstance(found, dict) or set(found) != set(Kernels._fields):
        return None
    if not all(library in get_args(Library) for library in found.values()):
        return None
    return Kernels(**found)


def _read() -> dict[str, Any]:
    try:
        found = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, kernels: Kernels) -> None:
    file = cache_file()
    known = {name: value for name, value in _read().items() if name != key and _valid(value)}
    known = dict([*known.items(), (key, kernels._asdict())][-MOST_REMEMBERED:])
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, prefix=file.name, delete=False, encoding="utf-8"
        ) as new:
            json.dump(known, new, indent=1, ensure_ascii=False)
        os.replace(new.name, file)  # whole or not at all, whoever writes besides
