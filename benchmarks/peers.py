"""Peers for speed.py, each beside our GPT with the same architecture, maths and weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import litgpt
import torch
import transformers
from litgpt.model import GPT as LitGPT
from plain_gpt import PlainGPT
from torch import Tensor, nn
from x_transformers import Decoder, TransformerWrapper

from minigpt.config import ModelConfig
from minigpt.model.gpt import GPT, build_model, init_weights
from minigpt.model.gpt2 import load_gpt2


@dataclass
class Pair:
    """A peer and our GPT, equal in everything but the code."""

    name: str
    peer: nn.Module
    ours: GPT
    peer_logits: Callable[[nn.Module, Tensor], Tensor] = lambda model, idx: model(idx)


def transformers_gpt2(shape: ModelConfig) -> Pair:
    """GPT-2: LayerNorm, biases, learned positions, GELU by tanh, tied head."""
    config = transformers.GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.context,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    peer = transformers.GPT2LMHeadModel(config)
    with tempfile.TemporaryDirectory() as folder:
        peer.save_pretrained(folder)
        ours = load_gpt2(folder)
    return Pair("transformers", peer, ours, lambda model, idx: model(idx).logits)


def x_transformers_decoder(shape: ModelConfig) -> Pair:
    """Its decoder, flash attention on, the MLP's biases off, the head tied: the architecture of our default.

    LayerNorm without bias, learned positions and GELU are what it comes with.
    """
    peer = TransformerWrapper(
        num_tokens=shape.vocab_size,
        max_seq_len=shape.context,
        tie_embedding=True,
        tie_embedding_scale=1.0,
        attn_layers=Decoder(
            dim=shape.n_embd,
            depth=shape.n_layer,
            heads=shape.n_head,
            attn_dim_head=shape.n_embd // shape.n_head,
            attn_flash=True,
            ff_no_bias=True,
        ),
    )
    ours = build_model(shape)
    theirs = dict(peer.named_parameters())
    weights = {
        "wte.weight": theirs["token_emb.emb.weight"],
        "wpe.weight": theirs["pos_emb.emb.weight"] * peer.pos_emb.scale,
        "ln_f.weight": theirs["attn_layers.final_norm.gamma"] + 1,  # it keeps a gain's distance from 1
    }
    for i in range(shape.n_layer):
        attention, mlp = f"attn_layers.layers.{2 * i}", f"attn_layers.layers.{2 * i + 1}"
        weights |= {
            f"h.{i}.ln_1.weight": theirs[f"{attention}.0.0.gamma"] + 1,
            f"h.{i}.attn.c_attn.weight": torch.cat([theirs[f"{attention}.1.to_{x}.weight"] for x in "qkv"]),
            f"h.{i}.attn.c_proj.weight": theirs[f"{attention}.1.to_out.weight"],
            f"h.{i}.ln_2.weight": theirs[f"{mlp}.0.0.gamma"] + 1,
            f"h.{i}.mlp.c_fc.weight": theirs[f"{mlp}.1.ff.0.0.weight"],
            f"h.{i}.mlp.c_proj.weight": theirs[f"{mlp}.1.ff.2.weight"],
        }
    return Pair("x-transformers", peer, fill(ours, weights))


def plain_pytorch(shape: ModelConfig) -> Pair:
    """nanoGPT's model, written plainly: the architecture of our default."""
    ours = build_model(shape)
    init_weights(ours, shape)
    peer = PlainGPT(shape)
    peer.load_state_dict(ours.state_dict())
    return Pair("plain PyTorch", peer, ours)


def litgpt_neox(shape: ModelConfig) -> Pair:
    """litgpt in the manner of GPT-NeoX: LayerNorm, biases, rotary positions, GELU, a free head."""
    return _litgpt("litgpt (NeoX)", shape, norm="layernorm", activation="gelu", bias=True)


def litgpt_llama(shape: ModelConfig) -> Pair:
    """litgpt in the manner of Llama: RMSNorm, rotary positions, SwiGLU, a free head; no biases."""
    return _litgpt("litgpt (Llama)", shape, norm="rmsnorm", activation="swiglu", bias=False)


def _litgpt(name: str, shape: ModelConfig, **form: str | bool) -> Pair:
    settings = vars(shape) | form | {"positions": "rotary", "tied_head": False}
    ours = build_model(ModelConfig(**settings))
    gated = form["activation"] == "swiglu"
    peer = LitGPT(
        litgpt.Config(
            block_size=shape.context,
            vocab_size=shape.vocab_size,
            padded_vocab_size=shape.vocab_size,
            n_layer=shape.n_layer,
            n_head=shape.n_head,
            n_embd=shape.n_embd,
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=ours.config.bias,
            norm_class_name="RMSNorm" if gated else "LayerNorm",
            mlp_class_name="LLaMAMLP" if gated else "GptNeoxMLP",
            intermediate_size=len(ours.h[0].mlp.c_fc.weight),
        )
    )
    peer.apply(peer._init_weights)
    parts = {"ln_1": "norm_1", "attn.c_attn": "attn.qkv", "attn.c_proj": "attn.proj", "ln_2": "norm_2"}
    parts |= {"mlp.c_gate": "mlp.fc_1", "mlp.c_fc": "mlp.fc_2"} if gated else {"mlp.c_fc": "mlp.fc"}
    names = {"wte": "transformer.wte", "ln_f": "transformer.ln_f", "lm_head": "lm_head"}
    for i in range(shape.n_layer):
        for ours_, theirs in (parts | {"mlp.c_proj": "mlp.proj"}).items():
            names[f"h.{i}.{ours_}"] = f"transformer.h.{i}.{theirs}"
    weights = {}
    for parameter, _ in ours.named_parameters():
        module, kind = parameter.rsplit(".", 1)
        tensor = peer.get_parameter(f"{names[module]}.{kind}")
        weights[parameter] = _neighbours(tensor, shape) if module.endswith("c_attn") else tensor
    return Pair(name, peer, fill(ours, weights))


def _neighbours(qkv: Tensor, shape: ModelConfig) -> Tensor:
    """Reorder the channels of queries and keys, whose halves litgpt turns against each other.

    Our rotary positions turn neighbours: litgpt's channel i goes to 2i, its i + head_size / 2 to 2i + 1.
    """
    heads = qkv.reshape(3, shape.n_head, 2, -1, *qkv.shape[1:])  # queries, keys, values; halves of each head
    turned = heads.transpose(2, 3).reshape(3, -1)
    return torch.cat([turned[:2], heads.reshape(3, -1)[2:]]).view_as(qkv)


def fill(ours: GPT, weights: dict[str, Tensor]) -> GPT:
    """Copy weights by name; every parameter must be given, and no other."""
    parameters = dict(ours.named_parameters())
    if parameters.keys() != weights.keys():
        raise ValueError(f"weights and parameters differ: {sorted(parameters.keys() ^ weights.keys())}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    return ours


PAIRS = (plain_pytorch, transformers_gpt2, litgpt_neox, litgpt_llama, x_transformers_decoder)
