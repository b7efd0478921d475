"""A trained run that completes lines of text."""

from __future__ import annotations

from pathlib import Path

import torch

from minigpt.data.tokenizer import Tokenizer
from minigpt.model.generation import generate
from minigpt.model.gpt import GPT
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.training.recipe import recipe_of


class Sampler:
    """A trained run, ready to complete text."""

    def __init__(self, model: GPT, tokenizer: Tokenizer):
        self.model, self.tokenizer = model.eval(), tokenizer

    @classmethod
    def load(cls, run_dir: str | Path) -> Sampler:
        """Read the newest intact checkpoint of a run.

        Raises:
            MiniGPTError: there is no run, or no intact checkpoint in it.
        """
        run = Run(run_dir)
        path, _ = checkpoint.latest(run.path / "checkpoints")
        recipe = recipe_of(run)
        model = recipe.build_model(run.config)
        recipe.init_weights(model, run.config)  # a fault may add a parameter here
        checkpoint.load_model(path, model)
        return cls(model, Tokenizer.load(run.path / "tokenizer.json"))

    def lines(
        self,
        prompts: list[str],
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_k: int | None = None,
        seed: int = 0,
        top_p: float | None = None,
    ) -> list[str]:
        """Complete each prompt to the end of its line; an empty prompt starts a new line.

        Prompts of one length in tokens are completed side by side.
        """
        newline = self.tokenizer.newline
        encoded = [[newline, *self.tokenizer.encode(prompt)] for prompt in prompts]
        generator = torch.Generator().manual_seed(seed)
        answers: dict[int, str] = {}
        for length in sorted({len(ids) for ids in encoded}):
            members = [index for index, ids in enumerate(encoded) if len(ids) == length]
            idx = torch.tensor([encoded[index] for index in members])
            out = generate(
                self.model, idx, max_new_tokens, temperature, top_k, newline, generator, top_p
            )  # (members, longest)
            for index, ids in zip(members, out.tolist(), strict=True):
                answers[index] = self.tokenizer.decode(ids[1:]).split("\n")[0]
        return [answers[index] for index in range(len(prompts))]
