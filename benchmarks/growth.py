"""How does the time of a training step grow with width, depth, context and batch? One command:

    python benchmarks/growth.py [--rounds 5]

Each axis is doubled four times from the same small model, the others held. All sizes take turns in every
round, on one thread, in processor time, and the fastest round of each counts, so that whatever else the
machine does is left out as far as that goes. Beside the time stands what the operations of `flops_per_token`
would take at the machine's fastest float32 product. Draws growth.svg.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from machine import machine, matmul_peak

from minigpt.config import ModelConfig
from minigpt.model.gpt import build_model, flops_per_token, init_weights
from minigpt.model.kernels import choose_kernels, use_kernels
from minigpt.training.allocator import keep_freed_memory
from minigpt.training.loss import cross_entropy

BASE, BATCH = ModelConfig(n_layer=1, n_head=4, n_embd=64, context=32), 4  # sequences
DOUBLED = (1, 2, 4, 8, 16)
AXES = {  # what an axis changes, for a factor
    "width": lambda factor: (replace(BASE, n_embd=BASE.n_embd * factor), BATCH),
    "depth": lambda factor: (replace(BASE, n_layer=BASE.n_layer * factor), BATCH),
    "context": lambda factor: (replace(BASE, context=BASE.context * factor), BATCH),
    "batch": lambda factor: (BASE, BATCH * factor),
}
FROM = {"width": BASE.n_embd, "depth": BASE.n_layer, "context": BASE.context, "batch": BATCH}
PICTURE = Path(__file__).parent / "growth.svg"


class Size:
    """One model in training, and the least seconds of its steps."""

    def __init__(self, shape: ModelConfig, batch_size: int):
        torch.manual_seed(0)
        self.model = build_model(shape)
        init_weights(self.model, shape)
        tokens = batch_size * shape.context
        use_kernels(self.model, choose_kernels(self.model, tokens))
        self.flops = flops_per_token(self.model) * tokens
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        ids = torch.randint(shape.vocab_size, (batch_size, shape.context + 1))
        self.idx, self.targets = ids[:, :-1], ids[:, 1:]
        self.mask = torch.ones(batch_size, shape.context, dtype=torch.bool)
        self.seconds = float("inf")
        self.step()  # prepares what later ones use

    def step(self) -> float:
        """Take one step and return its seconds."""
        started = time.thread_time()
        cross_entropy(self.model(self.idx), self.targets, self.mask).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.thread_time() - started


def measure(rounds: int) -> dict[str, list[Size]]:
    """Return every size of every axis, measured."""
    sizes = {axis: [Size(*build(factor)) for factor in DOUBLED] for axis, build in AXES.items()}
    for _ in range(rounds):
        for each in sizes.values():
            for size in each:
                size.seconds = min(size.seconds, size.step())
    return sizes


def draw(sizes: dict[str, list[Size]], peak: float) -> None:
    """Draw one panel an axis, both scales logarithmic."""
    figure, panels = plt.subplots(1, len(sizes), figsize=(9, 2.6), sharey=True, layout="constrained")
    for panel, (axis, each) in zip(panels, sizes.items(), strict=True):
        at = [FROM[axis] * factor for factor in DOUBLED]
        panel.loglog(at, [1e3 * size.seconds for size in each], "o-", label="measured")
        panel.loglog(at, [1e3 * size.flops / peak for size in each], "--", label="operations at the peak")
        panel.set_xticks(at, at)
        panel.minorticks_off()
        panel.set_xlabel(axis)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms a step")
    panels[0].legend(fontsize="small")
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.filterwarnings("ignore")
    plt.switch_backend("svg")
    torch.set_num_threads(1)
    keep_freed_memory()
    sizes, peak = measure(rounds), matmul_peak(time.thread_time)
    print(f"{machine()}; fastest product {peak / 1e9:.0f} GFLOP/s")
    print(f"{'axis':8} {'':>6} {'ms a step':>10} {'GFLOP':>8} {'of peak':>8} {'growth':>7}")
    for axis, each in sizes.items():
        for index, (factor, size) in enumerate(zip(DOUBLED, each, strict=True)):
            growth = f"{size.seconds / each[index - 1].seconds:.2f}" if index else ""
            share = size.flops / size.seconds / peak
            print(
                f"{axis:8} {FROM[axis] * factor:6} {1e3 * size.seconds:10.2f} {size.flops / 1e9:8.3f} "
                f"{share:8.0%} {growth:>7}"
            )
    draw(sizes, peak)


if __name__ == "__main__":
    main()
