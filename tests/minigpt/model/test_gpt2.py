"""GPT-2's weights from a Hugging Face folder: the same logits as transformers, and clear refusals."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from minigpt.model.gpt2 import GPT2Error, load_gpt2

transformers = pytest.importorskip("transformers")

SHAPE = {"vocab_size": 300, "n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4}


@pytest.fixture
def save(tmp_path):
    """Return a function that saves a randomly initialised GPT-2 and returns it with its folder."""

    def save(**settings):
        torch.manual_seed(1)
        config = transformers.GPT2Config(**SHAPE, bos_token_id=0, eos_token_id=0, **settings)
        model = transformers.GPT2LMHeadModel(config).eval()
        with torch.no_grad():  # biases start at 0 and gains at 1, which would hide a mix-up
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(tmp_path)
        return model, tmp_path

    return save


@pytest.mark.parametrize(
    "settings", [{}, {"activation_function": "gelu"}, {"tie_word_embeddings": False}], ids=str
)
def test_logits_are_those_of_transformers(save, settings):
    theirs, folder = save(**settings)
    idx = torch.randint(SHAPE["vocab_size"], (3, 20))
    with torch.no_grad():
        torch.testing.assert_close(load_gpt2(folder)(idx), theirs(idx).logits, rtol=1e-4, atol=1e-4)


def test_tensors_named_and_stored_as_in_the_original_release_are_read(save):
    theirs, folder = save()
    weights = load_file(folder / "model.safetensors")
    old = {name.removeprefix("transformer."): tensor.half() for name, tensor in weights.items()}
    old |= {f"h.{i}.attn.bias": torch.ones(1, 1, 24, 24) for i in range(2)}
    save_file(old, folder / "model.safetensors")
    idx = torch.randint(SHAPE["vocab_size"], (1, 8))
    with torch.no_grad():
        torch.testing.assert_close(load_gpt2(folder)(idx), theirs(idx).logits, rtol=0.02, atol=0.02)


def refusal(folder) -> GPT2Error:
    with pytest.raises(GPT2Error) as caught:
        load_gpt2(folder)
    assert str(caught.value)  # every placeholder of the message has its value
    return caught.value


def change(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_missing_folder_or_file_is_named(save, tmp_path):
    assert refusal(tmp_path / "nowhere").key == "gpt2.no-folder"
    assert refusal(tmp_path).values["name"] == "config.json"
    _, folder = save()
    (folder / "model.safetensors").unlink()
    assert refusal(folder).values["name"] == "model.safetensors"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_torn_file_is_refused(save, name):
    _, folder = save()
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    assert refusal(folder).key == "gpt2.unreadable"


@pytest.mark.parametrize(
    "setting",
    [
        {"model_type": "llama"},
        {"layer_norm_epsilon": 1e-6},
        {"n_inner": 100},
        {"activation_function": "relu"},
        {"scale_attn_by_inverse_layer_idx": True},
    ],
    ids=str,
)
def test_another_architecture_is_refused_with_the_setting_that_differs(save, setting):
    _, folder = save()
    change(folder, **setting)
    error = refusal(folder)
    assert (error.key, error.values["name"]) == ("gpt2.unsupported", *setting)


def test_a_missing_setting_is_named(save):
    _, folder = save()
    settings = json.loads((folder / "config.json").read_text())
    del settings["n_positions"]
    (folder / "config.json").write_text(json.dumps(settings))
    assert refusal(folder).values["name"] == "n_positions"


@pytest.mark.parametrize(
    ("setting", "tensor"), [({"n_positions": 30}, "wpe.weight"), ({"n_layer": 3}, "h.2.attn.c_attn.bias")]
)
def test_weights_of_another_model_are_refused_with_the_first_tensor_that_differs(save, setting, tensor):
    _, folder = save()
    change(folder, **setting)
    assert refusal(folder).values["name"] == tensor
