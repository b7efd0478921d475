"""What do telemetry and the monitor cost? Two runs, with and without, that take their steps in turns:

    python benchmarks/overhead.py [--steps 2000] [--block 200]

The ratio of their times is taken over blocks of steps, which hold the default audits and summaries; what an
evaluation and the start of a run cost is left out of it. Beside the ratio and its spread stands the share
that is spent inside telemetry. All of it is CPU time on one thread, so other work on the machine does not
count. Bar: 2 %.

The monitor is measured in a plain PyTorch loop at three shapes, the tiniest of them the preset `tiny`. Bars:
2 % at 6×192, 5 % at the tiniest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

from minigpt.config import Config
from minigpt.model import build_model
from minigpt.monitor import Monitor
from minigpt.presets import load_preset
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


def plain_loop(config: Config, run_dir: Path | None) -> Iterator[float]:
    """Train on one batch, in a loop as anybody writes it; yield the CPU seconds of each step."""
    torch.manual_seed(0)
    model = build_model(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(config.vocab_size, (config.batch_size, config.context + 1))  # (B, T + 1)
    watched = Monitor(model, optimizer, vocab_size=config.vocab_size, run_dir=run_dir) if run_dir else None
    with watched or nullcontext():
        while True:
            started = time.thread_time()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if watched:
                watched.step(loss)
            yield time.thread_time() - started


def measure_monitor(folder: Path) -> None:
    """Print what the monitor costs at three shapes, after the first steps, which it looks at more closely."""
    for name, config, steps in (
        ("tiny preset", Config(**load_preset("tiny")), 1500),
        ("2×64", Config(), 400),
        ("6×192", Config(n_layer=6, n_head=6, n_embd=192, context=128, batch_size=16), 100),
    ):
        plain, watched = plain_loop(config, None), plain_loop(config, folder / f"monitor-{name}")
        pairs = [(next(plain), next(watched)) for _ in range(steps)][20:]
        low, middle, high = statistics.quantiles([with_ / without for without, with_ in pairs])
        milliseconds = statistics.median(without for without, _ in pairs) * 1e3
        print(
            f"monitor, {name:11} step {milliseconds:7.2f} ms, with ÷ without {middle:.4f} "
            f"(middle half {low:.4f} to {high:.4f})"
        )
        plain.close()
        watched.close()


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
    with tempfile.TemporaryDirectory() as folder:
        measure_monitor(Path(folder))


if __name__ == "__main__":
    main()
