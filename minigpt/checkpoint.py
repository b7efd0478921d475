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
from minigpt.run_directory import sha256, strict, write_atomically

FILES = ("weights.safetensors", "training.safetensors", "state.json")


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
    temporary = folder / f".{final.name}.{os.getpid()}"
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    training = {
        f"{names[id(parameter)]}.{key}": torch.as_tensor(value)
        for parameter, moments in optimizer.state.items()
        for key, value in moments.items()
    }
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(
            {name: tensor.contiguous() for name, tensor in weights_of(model).items()}, temporary / FILES[0]
        )
        save_file({name: tensor.contiguous() for name, tensor in training.items()}, temporary / FILES[1])
        write_atomically(temporary / FILES[2], json.dumps(strict(state)) + "\n")
        write_atomically(
            temporary / "hashes.json",
            json.dumps({name: sha256(temporary / name) for name in FILES}, indent=2) + "\n",
        )
        for name in FILES:
            _sync(temporary / name)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError("checkpoint.cannot-write", path=final, detail=error) from error
    for old in find(folder)[:-keep] if keep else []:
        shutil.rmtree(old)
    return final


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find(folder: Path) -> list[Path]:
    """Return the checkpoints under `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def verify(path: Path) -> None:
    """Compare every file with its recorded hash.

    Raises:
        CheckpointError: a file is missing, cut or changed.
    """
    try:
        hashes = json.loads((path / "hashes.json").read_text(encoding="utf-8"))
        damaged = [name for name in FILES if sha256(path / name) != hashes[name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError("checkpoint.damaged", path=path, detail=error) from error
    if damaged:
        raise CheckpointError("checkpoint.damaged", path=path, detail=", ".join(damaged))


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
    state: dict[Any, dict[str, Tensor]] = {}
    for name, parameter in model.named_parameters():
        prefix = f"{name}."
        moments = {
            key.removeprefix(prefix): value.to(parameter.device)
            for key, value in training.items()
            if key.startswith(prefix)
        }
        if moments:
            state[parameter] = moments
    optimizer.state.update(state)
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
