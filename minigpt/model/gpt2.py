"""GPT-2's published weights, from a local Hugging Face folder, in our GPT.

    model = load_gpt2("models/gpt2")    # a folder with config.json and model.safetensors

Nothing is downloaded. The logits are those of `transformers.GPT2LMHeadModel`, to the rounding of float32.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from minigpt.config import ModelConfig
from minigpt.messages import MiniGPTError, message
from minigpt.model.gpt import GPT, build_model
from minigpt.model.norms import NORM_EPS

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
# what our model computes; a config that asks for something else is refused
ONLY = {
    "model_type": "gpt2",
    "layer_norm_epsilon": NORM_EPS,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
# Hugging Face keeps these matrices as (in, out), torch.nn.Linear as (out, in)
TRANSPOSED = re.compile(r"\.(c_attn|c_fc|c_proj)\.weight$")
BUFFERS = re.compile(r"\.attn\.(bias|masked_bias)$")  # causal masks in files of older versions


class GPT2Error(MiniGPTError):
    """A folder that holds no GPT-2 that we can load."""


def load_gpt2(folder: str | Path) -> GPT:
    """Return the GPT-2 in `folder`, in evaluation mode and float32.

    Raises:
        GPT2Error: the folder or one of its two files is missing or cannot be read, the config describes
            another architecture, or the weights are not those that the config describes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise GPT2Error("gpt2.no-folder", path=folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise GPT2Error("gpt2.no-file", path=folder, name=name)
    try:
        config = gpt2_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise GPT2Error("gpt2.unreadable", path=folder, detail=error) from error
    model = build_model(config)
    fill(model, weights)
    return model.eval()


def gpt2_config(settings: dict[str, Any]) -> ModelConfig:
    """Return our config for the settings of a Hugging Face `config.json`.

    Raises:
        GPT2Error: a setting is missing, or asks for something that our model does not compute.
    """
    width = settings.get("n_embd")
    inner = settings.get("n_inner") or width and 4 * width
    for name, wanted, given in (
        *((name, wanted, settings.get(name, wanted)) for name, wanted in ONLY.items()),
        ("n_inner", width and 4 * width, inner),
    ):
        if given != wanted:
            raise GPT2Error("gpt2.unsupported", name=name, given=given, wanted=wanted)
    activation = settings.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        raise GPT2Error(
            "gpt2.unsupported", name="activation_function", given=activation, wanted=", ".join(ACTIVATIONS)
        )
    try:
        return ModelConfig(
            vocab_size=settings["vocab_size"],
            context=settings["n_positions"],
            n_layer=settings["n_layer"],
            n_head=settings["n_head"],
            n_embd=settings["n_embd"],
            bias=True,
            activation=ACTIVATIONS[activation],
            tied_head=settings.get("tie_word_embeddings", True),
        )
    except KeyError as error:
        raise GPT2Error("gpt2.no-setting", name=error.args[0]) from error


def fill(model: GPT, weights: dict[str, Tensor]) -> None:
    """Copy Hugging Face's tensors into `model`.

    Raises:
        GPT2Error: a tensor is missing, is one too many, or has another shape.
    """
    weights = {
        name.removeprefix("transformer."): tensor.t() if TRANSPOSED.search(name) else tensor
        for name, tensor in weights.items()
        if not BUFFERS.search(name)
    }
    if model.config.tied_head:
        weights.pop("lm_head.weight", None)
    own = dict(model.named_parameters())
    nothing = message("gpt2.nothing")
    for name in sorted(own.keys() | weights.keys()):
        here = tuple(own[name].shape) if name in own else nothing
        there = tuple(weights[name].shape) if name in weights else nothing
        if here != there:
            raise GPT2Error("gpt2.other-weights", name=name, there=there, here=here)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
