"""Every mixer and feed-forward in the ordinary trainer: nothing is kept by mistake, and nothing is lost.

The forward pass without a state treats each row as a document of its own, whatever was computed before.
"""

from __future__ import annotations

from pathlib import Path

import kill_worker
import pytest
import torch
from safetensors.torch import load_file
from small_runs import HANGS, MINIMAL, spawn

from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.model.generation import generate
from minigpt.model.state import memory_of
from minigpt.runs import checkpoint
from minigpt.training.recipe import Recipe
from minigpt.training.sampling import Sampler
from minigpt.training.trainer import Trainer, resume, train


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The processes that are killed have one thread; several may round a sum otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run of every form, each killed by SIGKILL after step 6 of 12; its newest checkpoint is of step 4."""
    folder = tmp_path_factory.mktemp("killed")
    process = spawn(kill_worker.__file__, folder)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, err
    return folder


@pytest.fixture(scope="module", params=kill_worker.FORMS)
def form(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def recipe(form) -> Recipe:
    return Recipe(MINIMAL.replace(**kill_worker.FORMS[form]))


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The run that nobody interrupted."""
    return train(recipe, tmp_path_factory.mktemp("whole") / "run")


def losses(run):
    return run.column("loss")[1].tolist()


def last_tensors(run):
    last = checkpoint.find(run.path / "checkpoints")[-1]
    return load_file(last / "weights.safetensors") | load_file(last / "training.safetensors")


def test_a_run_that_was_killed_and_resumed_is_the_uninterrupted_one(form, killed, whole):
    trainer = resume(killed / form)
    assert trainer.step == 4
    resumed = trainer.run()
    assert losses(whole) == losses(resumed)
    assert whole.column("val_loss")[1].tolist() == resumed.column("val_loss")[1].tolist()
    one, other = last_tensors(whole), last_tensors(resumed)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_every_block_trains_in_half_precision(recipe, whole, precision, tmp_path):
    trained = losses(train(Recipe(recipe.config.replace(precision=precision)), tmp_path / "half"))
    assert trained != losses(whole) and trained == pytest.approx(losses(whole), rel=0.02)


def test_an_evaluation_in_the_middle_changes_nothing(recipe, whole, tmp_path):
    never = Recipe(recipe.config.replace(eval_every=0))
    assert losses(whole) == losses(train(never, tmp_path / "never"))


def resumed_model(run):
    """Return the model of a run as it is resumed, and leave the folder to whoever comes next."""
    trainer = resume(run.path)
    trainer.writer.close()
    return trainer.model.eval()


def test_a_trained_model_keeps_nothing_from_batch_to_batch_and_generates_alike(whole):
    model = resumed_model(whole)
    idx = torch.randint(512, (8, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(idx)
        assert torch.equal(model(idx), logits)  # the same batch twice
        alone = torch.cat([model(row[None]) for row in idx])  # a batch of 1 against a batch of 8
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
    cached = generate(model, idx[:, :4], max_new_tokens=12, temperature=0)
    for end in range(4, 16):
        with torch.no_grad():
            assert torch.equal(model(cached[:, :end])[:, -1].argmax(-1), cached[:, end])


def test_a_run_that_writes_and_a_run_that_starts_from_it_remember_what_it_learnt(recipe, whole, tmp_path):
    """The memory and the scales of homeostasis lie beside the weights, and are part of the model."""
    idx = torch.randint(512, (4, 16), generator=torch.Generator().manual_seed(2))
    tuned = Trainer(Recipe(recipe.config.replace(init_from=str(whole.path))), tmp_path / "tuned")
    tuned.writer.close()
    with torch.no_grad():
        logits = resumed_model(whole)(idx)
        assert torch.equal(Sampler.load(whole.path).model(idx), logits)
        assert torch.equal(tuned.model.eval()(idx), logits)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_does_not_start_from_a_memory_of_another_shape(tmp_path, language):
    memory = MINIMAL.replace(mixer="memory", short_term_size=4, long_term_size=8, memory_reads=4, steps=12)
    kept = train(Recipe(memory), tmp_path / "kept")
    assert memory_of(Sampler.load(kept.path).model)["h.0.attn.count"] > 0
    larger = Recipe(memory.replace(long_term_size=16, init_from=str(kept.path)))
    use_language(language)
    try:
        with pytest.raises(MiniGPTError) as refused:
            Trainer(larger, tmp_path / "larger")
    finally:
        use_language(None)
    assert "(8, " in str(refused.value) and "(16, " in str(refused.value)
    assert not (tmp_path / "larger").exists()
