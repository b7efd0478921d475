"""Checkpoints that a kill cannot spoil: safetensors and JSON, hashed, renamed into place when complete.

    checkpoints/step-000500/weights.safetensors    parameters and buffers, a tied one once
                            training.safetensors   optimizer moments by parameter name
                            state.json             steps done, loss scaler, early stopping
                            hashes.json            SHA-256 of the three

`step-000500` means that 500 steps are done and step 500 comes next.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minigpt.messages import MiniGPTError
from minigpt.runs.run import sha256, strict

FILES = ("weights.safetensors", "training.safetensors", "state.json")
HASHES = "hashes.json"


class CheckpointError(MiniGPTError):
    """A checkpoint that is missing, damaged, or of another model."""


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers by name, a tied parameter once, under its first name."""
    return {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any], keep: int = 0
) -> Path:
    """Write a checkpoint under `folder` and return its path.

    Args:
        state: what else a resumed run needs, as plain data; `state["step"]` is the number of steps done.
        keep: of all checkpoints, how many of the newest stay; 0 keeps all.

    Raises:
        CheckpointError: the disk is full or cannot be written; earlier checkpoints are untouched.
    """
    final = folder / f"step-{state['step']:06d}"
    temporary = folder / f".new-{final.name}"
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    training = {
        f"{names[id(parameter)]}.{key}": torch.as_tensor(value)
        for parameter, moments in optimizer.state.items()
        for key, value in moments.items()
    }
    try:
        clear_leftovers(folder)
        temporary.mkdir(parents=True)
        for name, tensors in zip(FILES, (weights_of(model), training), strict=False):
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, temporary / name)
        (temporary / FILES[2]).write_text(json.dumps(strict(state)) + "\n", encoding="utf-8")
        (temporary / HASHES).write_text(_hashes(temporary), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        _discard(final)
        temporary.rename(final)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError("checkpoint.cannot-write", path=final, detail=error) from error
    for old in find(folder)[:-keep] if keep else []:
        _discard(old)
    return final


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
    return sorted(named, key=lambda path: int(path.name.removeprefix("step-")))


def verify(path: Path) -> None:
    """Compare hashes.json, to the last byte, with what the other files ask for.

    Raises:
        CheckpointError: a file is missing, cut or changed.
    """
    try:
        recorded, found = (path / HASHES).read_text(encoding="utf-8"), _hashes(path)
    except (OSError, ValueError) as error:
        raise CheckpointError("checkpoint.damaged", path=path, detail=error) from error
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


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put model and optimizer back as they were, and return the rest of the state.

    Raises:
        CheckpointError: it is damaged, or its tensors have other names or shapes.
    """
    load_weights(path, model)
    training = load_file(path / FILES[1])
    for name, parameter in model.named_parameters():
        prefix = f"{name}."
        keys = [key for key in training if key.startswith(prefix)]
        if keys:
            optimizer.state[parameter] = {
                key.removeprefix(prefix): training.pop(key).to(parameter.device) for key in keys
            }
    return json.loads((path / FILES[2]).read_text(encoding="utf-8"))


def _fill(target: dict[str, Tensor], source: dict[str, Tensor], path: Path) -> None:
    for name in sorted(target.keys() | source.keys()):
        here = tuple(target[name].shape) if name in target else None
        there = tuple(source[name].shape) if name in source else None
        if here != there:
            raise CheckpointError("checkpoint.other-model", path=path, name=name, here=here, there=there)
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
