"""Checkpoints that a kill cannot spoil: safetensors and JSON, hashed, renamed into place when complete.

    checkpoints/step-000500/weights.safetensors    parameters and buffers, a tied one once
                            training.safetensors   moments by parameter name; memory and snapshots, if any
                            state.json             the trainer's state: both clocks, scaler, guards
                            hashes.json            SHA-256 of the three

`step-000500` means that 500 steps are done and step 500 comes next.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minigpt.messages import MiniGPTError, reason_of
from minigpt.model.state import load_memory
from minigpt.runs.run import sha256, strict

FILES = ("weights.safetensors", "training.safetensors", "state.json")
HASHES = "hashes.json"
MEMORY = "memory/"  # begins the names of what a model remembers, in training.safetensors
FORMAT = 2  # of state.json; 1 had no such field


class CheckpointError(MiniGPTError):
    """A checkpoint that is missing, damaged, or of another model."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers by name, a tied parameter once, under its first name."""
    return {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def moments_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what the optimizer keeps of every parameter, as "<parameter>.<moment>"."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}.{key}": torch.as_tensor(value)
        for parameter, moments in optimizer.state.items()
        for key, value in moments.items()
    }


def load_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Give the optimizer the moments that `moments_of` returned, and no others."""
    optimizer.state.clear()
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        parameter, _, key = name.rpartition(".")
        by_parameter.setdefault(parameter, {})[key] = tensor
    for name, parameter in model.named_parameters():
        if name in by_parameter:
            own = by_parameter[name].items()
            optimizer.state[parameter] = {key: tensor.to(parameter.device) for key, tensor in own}


class Saved(NamedTuple):
    """What a checkpoint holds beside weights and moments."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    keep: int = 0,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint under `folder` and return its path.

    Args:
        state: what else a resumed run needs, as plain data; `state["step"]` is the number of steps done.
        keep: of the checkpoints up to this one, how many of the newest stay; 0 keeps all.
        tensors: further ones that a resumed run needs; each name has a "/" in it.

    Raises:
        CheckpointError: the disk is full or cannot be written; earlier checkpoints are untouched.
    """
    final = folder / f"step-{state['step']:06d}"
    temporary = folder / f".new-{final.name}"
    training = moments_of(model, optimizer) | dict(tensors or {})
    try:
        clear_leftovers(folder)
        temporary.mkdir(parents=True)
        for name, tensors in zip(FILES, (weights_of(model), training), strict=False):
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, temporary / name)
        (temporary / FILES[2]).write_text(
            json.dumps(strict({"format": FORMAT} | state)) + "\n", encoding="utf-8"
        )
        (temporary / HASHES).write_text(_hashes(temporary), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        _discard(final)
        temporary.rename(final)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError("checkpoint.cannot-write", path=final, detail=_reason(error)) from error
    found = find(folder)
    for old in found[: max(found.index(final) + 1 - keep, 0)] if keep else []:
        _discard(old)
    return final


def discard_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of later steps than `step`: the run has gone back behind them."""
    for path in find(folder):
        if steps_in(path) > step:
            _discard(path)


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed process left half written or half deleted."""
    for path in folder.glob(".*-step-*"):
        shutil.rmtree(path, ignore_errors=True)


def _discard(path: Path) -> None:
    """Delete a checkpoint so that none is ever seen with half of its files."""
    if path.exists():
        shutil.rmtree(path.rename(path.with_name(f".old-{path.name}")), ignore_errors=True)


def _hashes(path: Path) -> str:
    """Return the content of hashes.json for the files that lie in `path`."""
    return json.dumps({name: sha256(path / name) for name in FILES}, indent=2) + "\n"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find(folder: Path) -> list[Path]:
    """Return the checkpoints under `folder`, oldest first."""
    named = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal()]
    return sorted(named, key=steps_in)


def steps_in(path: Path) -> int:
    """Return how many steps are done in a checkpoint, by its name."""
    return int(path.name.removeprefix("step-"))


def verify(path: Path) -> None:
    """Compare hashes.json, to the last byte, with what the other files ask for.

    Raises:
        CheckpointError: a file is missing, cut or changed.
    """
    try:
        recorded, found = (path / HASHES).read_text(encoding="utf-8"), _hashes(path)
    except (OSError, ValueError) as error:
        raise CheckpointError("checkpoint.damaged", path=path, detail=_reason(error)) from error
    if recorded != found:
        lines = zip(FILES, found.splitlines()[1:], strict=False)
        changed = [name for name, line in lines if line not in recorded.splitlines()]
        raise CheckpointError("checkpoint.damaged", path=path, detail=", ".join(changed or [HASHES]))


def latest(folder: Path) -> tuple[Path, list[CheckpointError]]:
    """Return the newest intact checkpoint, and what was wrong with those newer than it.

    Raises:
        CheckpointError: none is there, or none is intact.
    """
    damaged = []
    for path in reversed(find(folder)):
        try:
            verify(path)
        except CheckpointError as error:
            damaged.append(error)
        else:
            return path, damaged
    raise damaged[0] if damaged else CheckpointError("checkpoint.none", path=folder)


def load_weights(path: Path, model: nn.Module) -> None:
    """Copy a checkpoint's weights into `model`.

    Raises:
        CheckpointError: it is damaged, or its tensors have other names or shapes.
    """
    verify(path)
    _fill(weights_of(model), load_file(path / FILES[0]), path)


def load_model(path: Path, model: nn.Module) -> None:
    """Put a model back as it was: its weights, and what it remembers beside them from step to step.

    Raises:
        CheckpointError: it is damaged, or its tensors have other names or shapes.
        MiniGPTError: it holds a memory of another shape.
    """
    load_weights(path, model)
    with safe_open(path / FILES[1], framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(MEMORY)]  # noqa: SIM118  no mapping
        memory = {name.removeprefix(MEMORY): file.get_tensor(name) for name in names}
    load_memory(model, memory, partly=True)


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Saved:
    """Put model and optimizer back as they were, and return the rest.

    Raises:
        CheckpointError: it is damaged, its tensors have other names or shapes, or a newer version wrote it.
    """
    state, weights, training = read(path)
    _fill(weights_of(model), weights, path)
    load_moments(model, optimizer, {name: t for name, t in training.items() if "/" not in name})
    return Saved(state, {name: tensor for name, tensor in training.items() if "/" in name})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Return the state, the weights, and the tensors of training.safetensors, by name.

    Raises:
        CheckpointError: it is damaged, or a newer version wrote it.
    """
    verify(path)
    state = json.loads((path / FILES[2]).read_text(encoding="utf-8"))
    if state.pop("format", 1) > FORMAT:
        raise CheckpointError("checkpoint.newer", path=path)
    return state, load_file(path / FILES[0]), load_file(path / FILES[1])


def _fill(target: dict[str, Tensor], source: dict[str, Tensor], path: Path) -> None:
    for name in sorted(target.keys() | source.keys()):
        here = tuple(target[name].shape) if name in target else None
        there = tuple(source[name].shape) if name in source else None
        if here != there:
            raise CheckpointError("checkpoint.other-model", path=path, name=name, here=here, there=there)
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def _reason(error: Exception) -> str:
    """Why a file could not be written or read; safetensors tells the system's number in its text."""
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        error = OSError(int(found[1]), str(error))
    return reason_of(error) if isinstance(error, OSError) else str(error)
