"""State-space, spiking, liquid and two-stream blocks in the ordinary trainer: nothing is kept by mistake.

The forward pass without a state treats each row as a document of its own, whatever was computed before.
"""

from __future__ import annotations

import pytest
import torch
from small_runs import MINIMAL

from minigpt.model.generation import generate
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer, resume, train

BLOCKS = {
    "state_space": {"mixer": "state_space"},
    "spiking": {"activation": "spiking"},
    "liquid": {"activation": "liquid"},
    "two_streams": {"mixer": "two_streams", "cross_attention_heads": 2, "gate_heads": 2},
}


class Killed(Exception):
    """The process ended."""


class KillAfter:
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, record):
        if record["step"] == self.step:
            raise Killed


@pytest.fixture(params=BLOCKS)
def recipe(request):
    return Recipe(MINIMAL.replace(**BLOCKS[request.param]))


def losses(run):
    return run.column("loss")[1].tolist()


def test_a_killed_and_resumed_run_is_the_uninterrupted_one(recipe, tmp_path):
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(Killed):
        Trainer(recipe, tmp_path / "cut", [KillAfter(6)]).run()
    resumed = resume(tmp_path / "cut").run()
    assert losses(whole) == losses(resumed)
    assert whole.column("val_loss")[1].tolist() == resumed.column("val_loss")[1].tolist()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("block", [*BLOCKS, "memory"])
def test_every_block_trains_in_half_precision(block, precision, tmp_path):
    memory = {"mixer": "memory", "short_term_size": 8, "consolidation_interval": 4}
    config = MINIMAL.replace(**BLOCKS.get(block, memory), precision=precision)
    trained = losses(train(Recipe(config), tmp_path / "half"))
    whole = losses(train(Recipe(config.replace(precision="fp32")), tmp_path / "whole"))
    assert trained != whole and trained == pytest.approx(whole, rel=0.02)


def test_an_evaluation_in_the_middle_changes_nothing(recipe, tmp_path):
    looked = train(recipe, tmp_path / "looked")
    never = Recipe(recipe.config.replace(eval_every=0))
    assert losses(looked) == losses(train(never, tmp_path / "never"))


def test_a_trained_model_keeps_nothing_from_batch_to_batch_and_generates_alike(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.run()
    model = trainer.model.eval()
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
