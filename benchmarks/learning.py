"""Does the course's default run learn what it should? One command, a few figures:

    python benchmarks/learning.py [--steps 2000]

Prints the loss at step 0 against ln V, the seconds that 200 steps take, the validation loss against a
smoothed 5-gram model on the same split, and the share of the corpus' 360 cells that the trained model
conjugates rightly.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from minigpt.config import Config
from minigpt.data.conjugations import score_cells, score_lines
from minigpt.data.dataset import load_data
from minigpt.data.ngram import NGram
from minigpt.training.recipe import Recipe
from minigpt.training.sampling import Sampler
from minigpt.training.trainer import train


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    config = Config(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(Recipe(config.replace(steps=200, eval_every=0)), Path(folder) / "short")
        print(f"200 steps: {time.perf_counter() - started:.1f} s, data, validation and checkpoint included")
        run = train(Recipe(config), Path(folder) / "run")
        first, last = run.metrics[0], run.metrics[-1]
        print(f"step-0 loss {first['loss']:.3f}, ln {config.vocab_size} = {math.log(config.vocab_size):.3f}")
        data = load_data(config)
        baseline = NGram(order=5, vocab_size=config.vocab_size).fit(data.train.tolist())
        print(
            f"validation loss after {config.steps} steps {last['val_loss']:.3f},"
            f" 5-gram (modified Kneser-Ney) {baseline.loss(data.validation.tolist()):.3f}"
        )
        sampler = Sampler.load(run.path)
        for group, share in score_cells(sampler.lines).items():
            print(f"cells conjugated rightly, {group}: {share} = {share.value:.0%}")
        free = score_lines(sampler.lines([""] * 100, temperature=0.8))
        print(f"freely sampled lines that are correct pairs: {free}")


if __name__ == "__main__":
    main()
