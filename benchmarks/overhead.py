"""What does telemetry cost? Two runs, with it and without it, that take their steps in turns:

    python benchmarks/overhead.py [--steps 2000] [--block 200]

The ratio of their times is taken over blocks of steps, which hold the default audits and summaries; what an
evaluation and the start of a run cost is left out of it. Beside the ratio and its spread stands the share
that is spent inside telemetry. All of it is CPU time on one thread, so other work on the machine does not
count. Bar: 2 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import torch

from minigpt.config import Config
from minigpt.recipe import Recipe
from minigpt.telemetry import Telemetry
from minigpt.trainer import Trainer


class Timed(Telemetry):
    """Telemetry that knows how long it took."""

    start_seconds = seconds = 0.0

    def on_start(self, trainer) -> None:
        started = time.thread_time()
        super().on_start(trainer)
        self.start_seconds = time.thread_time() - started

    def on_record(self, trainer, record) -> None:
        started = time.thread_time()
        super().on_record(trainer, record)
        self.seconds += time.thread_time() - started


class Turns:
    """A callback that lets the other run take a step after each of this one's."""

    def __init__(self, mine: threading.Semaphore, other: threading.Semaphore):
        self.mine, self.other = mine, other
        self.seconds: list[float] = []  # by step

    def on_start(self, trainer) -> None:
        trainer.evaluate = lambda: 0.0  # so that summaries come without it
        self.mine.acquire()
        self.started = time.thread_time()

    def on_step(self, trainer, record) -> None:
        self.seconds.append(time.thread_time() - self.started)
        self.other.release()
        self.mine.acquire()
        self.started = time.thread_time()

    def on_end(self, trainer) -> None:
        self.other.release()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--block", type=int, default=200, help="steps that a ratio is taken over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = Config(steps=arguments.steps, eval_every=100, checkpoint_every=0)
    telemetry, first, second = Timed(), threading.Semaphore(1), threading.Semaphore(0)
    watched, plain = Turns(first, second), Turns(second, first)
    with tempfile.TemporaryDirectory() as folder:
        trainers = [
            Trainer(Recipe(config), Path(folder) / "with", [telemetry, watched], telemetry=False),
            Trainer(Recipe(config), Path(folder) / "without", [plain], telemetry=False),
        ]
        threads = [threading.Thread(target=trainer.run) for trainer in trainers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    size, count = arguments.block, arguments.steps // arguments.block
    blocks = [slice(block * size, (block + 1) * size) for block in range(count)]
    ratios = sorted(sum(watched.seconds[block]) / sum(plain.seconds[block]) for block in blocks)
    low, middle, high = ratios[count // 4], statistics.median(ratios), ratios[-1 - count // 4]
    share = telemetry.seconds / sum(plain.seconds)
    print(f"step without telemetry: {statistics.median(plain.seconds) * 1e3:.2f} ms")
    print(
        f"with ÷ without, {count} blocks of {size} steps: {middle:.4f} (middle half {low:.4f} to {high:.4f})"
    )
    print(f"inside telemetry: {share:.2%} of the step time (bar: 2 %)")
    print(f"once, at the start of a run: {telemetry.start_seconds:.2f} s")


if __name__ == "__main__":
    main()
