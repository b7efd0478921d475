"""What do telemetry, guards and instruments, and the monitor cost?

    python benchmarks/overhead.py [telemetry guards monitor] [--blocks 10] [--block 200]

All times are CPU times on one thread, and what is compared is measured within one process: two processes
differ by several per cent for where their memory happens to lie.

Telemetry is on and off by turns in one run, for a block of steps at a time, and a ratio is that of two
neighbouring blocks. They hold the default audits and summaries; what an evaluation and the start of a run
cost is left out. Beside the ratio stands the share that is spent inside telemetry. Bar: 2 %.

Guards, snapshots and instruments are all on at their default spacing in one run of the default model; their
share is the time inside them over that of the rest, by part. Bar: 2 %.

The monitor watches one of two plain PyTorch loops that take their steps in turns, at three shapes, the
tiniest of them the preset `tiny`; a ratio is that of the same steps of both. The first steps, which it looks
at more closely, are left out. Bars: 2 % at 6×192, 5 % at the tiniest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from minigpt.config import Config
from minigpt.config.presets import load_preset
from minigpt.model.gpt import build_model
from minigpt.monitor import Monitor
from minigpt.training.callbacks.telemetry import Telemetry
from minigpt.training.guards.enforcer import Enforcer
from minigpt.training.instruments import panel
from minigpt.training.instruments.ownership import Ownership
from minigpt.training.instruments.panel import Instruments
from minigpt.training.instruments.units import UnitsReader
from minigpt.training.instruments.updates import UpdateSizes
from minigpt.training.recipe import Recipe
from minigpt.training.snapshots import Snapshot
from minigpt.training.trainer import Trainer

BLOCKS = 50  # of the steps of a watched loop; each holds its share of what is written now and then


class Sometimes(Telemetry):
    """Telemetry that is off in every other block of steps, and knows how long it took."""

    start_seconds = seconds = 0.0

    def __init__(self, block: int):
        super().__init__()
        self._block = block

    def on_start(self, trainer) -> None:
        started = time.thread_time()
        super().on_start(trainer)
        self.start_seconds = time.thread_time() - started

    def on_record(self, trainer, record) -> None:
        if record["step"] // self._block % 2 == 0:
            return
        started = time.thread_time()
        super().on_record(trainer, record)
        self.seconds += time.thread_time() - started


class StepTimer:
    """A callback that notes the seconds of each step."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_start(self, trainer) -> None:
        trainer.evaluate = lambda: 0.0  # so that summaries come without it
        self._started = time.thread_time()

    def on_step(self, trainer, record) -> None:
        now = time.thread_time()
        self.seconds.append(now - self._started)
        self._started = now


def ratios(without: Sequence[float], with_: Sequence[float]) -> str:
    """The median of with ÷ without, and its middle half."""
    low, middle, high = statistics.quantiles([b / a for a, b in zip(without, with_, strict=True)])
    return f"with ÷ without {middle:.4f} (middle half {low:.4f} to {high:.4f})"


def measure_telemetry(blocks: int, block: int) -> None:
    """Print what telemetry costs a run of the default config."""
    config = Config(steps=2 * blocks * block, eval_every=100, checkpoint_every=0)
    telemetry, timer = Sometimes(block), StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(Recipe(config), Path(folder) / "run", [telemetry, timer], telemetry=False).run()
    sums = [sum(timer.seconds[start : start + block]) for start in range(0, config.steps, block)]
    without, with_ = sums[::2], sums[1::2]
    print(f"telemetry, step {sum(without) / blocks / block * 1e3:.2f} ms, {ratios(without, with_)}")
    print(f"inside telemetry: {telemetry.seconds / sum(without):.2%} of the step time (bar: 2 %)")
    print(f"once, at the start of a run: {telemetry.start_seconds:.2f} s")


class Stopwatch:
    """Adds up the time inside functions; of nested ones, what the inner ones took counts for them alone."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def watch(self, owner: object, name: str, label: str) -> None:
        """Replace a function or method by one that is timed, under `label`."""
        original = getattr(owner, name)

        def timed(*arguments, **named):
            self._inner.append(0.0)
            started = time.thread_time()
            try:
                return original(*arguments, **named)
            finally:
                spent = time.thread_time() - started
                self.seconds[label] = self.seconds.get(label, 0.0) + spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        setattr(owner, name, staticmethod(timed) if name == "take" and owner is Snapshot else timed)


def measure_guards(steps: int) -> None:
    """Print what guards, snapshots and instruments cost a run of the default config, by part."""
    clock = Stopwatch()
    for owner, name, label in (
        (Enforcer, "before_step", "guards"),
        (Enforcer, "decide", "guards"),
        (Snapshot, "take", "snapshots"),
        (Instruments, "on_start", "instruments, the rest"),
        (Instruments, "on_record", "instruments, the rest"),
        (Instruments, "_noise", "gradient noise scale"),
        (UpdateSizes, "_before", "sizes of updates"),
        (UpdateSizes, "_after", "sizes of updates"),
        (Ownership, "compare", "checksums"),
        (Ownership, "_after", "checksums"),
        (panel, "quietly", "one pass of the model, attention read"),
        (panel, "of_logits", "logits"),
        (UnitsReader, "found", "units"),
        (panel, "statefulness", "statefulness, once at the end"),
    ):
        clock.watch(owner, name, label)
    config = Config(
        steps=steps, eval_every=100, checkpoint_every=0, guard_finite=True, guard_spikes=True, guard_rate=True
    )
    timer = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(Recipe(config), Path(folder) / "run", [timer], telemetry=True).run()
    inside = sum(clock.seconds.values())
    rest = sum(timer.seconds) - inside
    print(
        f"guards and instruments, {steps} steps of {rest / steps * 1e3:.2f} ms: "
        f"{inside / rest:.2%} (bar: 2 %)"
    )
    for label, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"  {label:40} {seconds / rest:.2%}")


def plain_loop(config: Config, run_dir: Path | None) -> Iterator[float]:
    """Train on one batch, in a loop as anybody writes it; yield the CPU seconds of each step."""
    torch.manual_seed(0)
    model = build_model(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(config.vocab_size, (config.batch_size, config.context + 1))  # (B, T + 1)
    monitor = Monitor(model, optimizer, vocab_size=config.vocab_size, run_dir=run_dir) if run_dir else None
    with monitor or nullcontext():
        while True:
            with nullcontext() if monitor else unheard():
                started = time.thread_time()
                optimizer.zero_grad()
                loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                if monitor:
                    monitor.step(loss)
                seconds = time.thread_time() - started
            yield seconds


@contextmanager
def unheard() -> Iterator[None]:
    """Keep from the other loop's monitor that an optimizer steps, which PyTorch tells of every optimizer."""
    hooks = _global_optimizer_pre_hooks, _global_optimizer_post_hooks
    kept = [dict(each) for each in hooks]
    for each in hooks:
        each.clear()
    try:
        yield
    finally:
        for each, before in zip(hooks, kept, strict=True):
            each.update(before)


def measure_monitor(folder: Path) -> None:
    """Print what the monitor costs at three shapes."""
    for name, config, first, steps in (
        ("tiny preset", Config(**load_preset("tiny")), 100, 5000),
        ("2×64", Config(), 100, 500),
        ("6×192", Config(n_layer=6, n_head=6, n_embd=192, context=128, batch_size=16), 20, 100),
    ):
        loops = plain_loop(config, None), plain_loop(config, folder / name)
        pairs = [tuple(next(loop) for loop in loops) for _ in range(first + steps)][first:]
        for loop in loops:
            loop.close()
        blocks = [pairs[start : start + steps // BLOCKS] for start in range(0, steps, steps // BLOCKS)]
        without, with_ = zip(*(map(sum, zip(*block, strict=True)) for block in blocks), strict=True)
        milliseconds = sum(without) / steps * 1e3
        print(f"monitor, {name:11} step {milliseconds:7.2f} ms, {ratios(without, with_)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["telemetry", "guards", "monitor"])
    parser.add_argument("--steps", type=int, default=2000, help="of the run with guards and instruments")
    parser.add_argument("--blocks", type=int, default=10, help="blocks of steps with, and as many without")
    parser.add_argument("--block", type=int, default=200, help="steps of a block of telemetry")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if "telemetry" in arguments.parts:
        measure_telemetry(arguments.blocks, arguments.block)
    if "monitor" in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            measure_monitor(Path(folder))
    if "guards" in arguments.parts:  # last, for it leaves timers behind
        measure_guards(arguments.steps)


if __name__ == "__main__":
    main()
