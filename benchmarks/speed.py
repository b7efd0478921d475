"""Training speed against plain PyTorch, transformers, litgpt and x-transformers, at three shapes:

    python -m pip install --no-deps -r benchmarks/requirements.txt
    python benchmarks/speed.py [--compile] [--rounds 10] [--shape 2x64 ...] [--peer plain ...] [--threads 2]
        [--clock cpu] [--apart]
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 python benchmarks/speed.py

Every peer trains beside our GPT with the same architecture, maths, weights and data (their first losses must
be equal), the same fused AdamW, the same clipping; only the model's code, the kernels that we choose and the
loss function differ. The choice is made again, and printed. Both sides profit from `keep_freed_memory`, which
a process has or has not: `--apart` gives each side a process of its own, and only ours has it, as in a run of
the trainer beside a loop as anybody writes it.

The sides take turns in short rounds and a ratio is the median over rounds, so that whatever else the machine
does meets both alike. On a machine that is shared, `--clock cpu` counts the processor time of this process
instead of the time that passes. Memory is what tensors take at the worst moment of a step, weights and
optimizer included. The total of a run is that of the first step, in which a compiled model is compiled, and
of 2,000 steps at the median speed; importing PyTorch is left out. The share of peak counts the operations of
`flops_per_token`, against the fastest product measured here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F
from machine import matmul_peak
from peers import PAIRS, Pair
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.gpt import flops_per_token
from minigpt.model.kernels import choose_kernels, use_kernels
from minigpt.training.allocator import keep_freed_memory
from minigpt.training.kernel_cache import processor
from minigpt.training.loss import cross_entropy

SHAPES = {  # and the sequences in a batch
    "2x64": (ModelConfig(n_layer=2, n_head=4, n_embd=64, context=64), 32),
    "4x128": (ModelConfig(n_layer=4, n_head=4, n_embd=128, context=128), 16),
    "6x192": (ModelConfig(n_layer=6, n_head=6, n_embd=192, context=128), 16),
}

RUN = 2000  # steps of the run whose total is told


@dataclass(frozen=True)
class Task:
    """What is measured, and how."""

    shape: ModelConfig
    batch_size: int
    rounds: int
    compiled: bool
    clock: Callable[[], float]
    builders: Sequence[Callable[[ModelConfig], Pair]]

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch_size * self.shape.context

    @property
    def steps(self) -> int:
        """So many that a round takes about a second."""
        return max(1, 100_000_000 // (self.tokens * self.shape.n_layer * self.shape.n_embd**2))

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs, targets and a mask that lets all count, (B, T) each."""
        generator = torch.Generator().manual_seed(0)
        size = (self.batch_size, self.shape.context + 1)
        tokens = torch.randint(self.shape.vocab_size, size, generator=generator)
        return (
            tokens[:, :-1],
            tokens[:, 1:],
            torch.ones(self.batch_size, self.shape.context, dtype=torch.bool),
        )


@dataclass(kw_only=True)
class Told:
    """What is measured of one model in training."""

    speeds: list[float] = field(default_factory=list)  # tokens a second, by round
    start: float = 0.0  # seconds of the first step
    memory: int = 0  # bytes at the worst moment of a step
    kernels: str = ""  # the libraries of its products

    @property
    def speed(self) -> float:
        return statistics.median(self.speeds)

    def total(self, tokens: int) -> float:
        """Return the seconds of a run of RUN steps of so many tokens, as far as was measured."""
        return self.start + RUN * tokens / self.speed


@dataclass
class Side(Told):
    """One model in training."""

    model: nn.Module
    logits: Callable[[nn.Module, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )

    def step(self, idx: Tensor, targets: Tensor, mask: Tensor) -> float:
        loss = self.loss(self.logits(self.model, idx), targets, mask)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


def peers_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """The call that all three make; they have no mask."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def build_side(task: Task, pair: Pair, ours: bool) -> Side:
    """Return our side, with the kernels chosen for it, or the peer's."""
    if ours:
        use_kernels(pair.ours, choose_kernels(pair.ours, task.tokens, compiled=task.compiled))
        side = Side(pair.ours, lambda model, idx: model(idx), cross_entropy, kernels=chosen(pair.ours))
    else:
        side = Side(pair.peer, pair.peer_logits, peers_loss)
    side.model.train()
    if task.compiled:
        side.model = torch.compile(side.model, dynamic=False)
    return side


def measure(task: Task) -> list[tuple[Pair, Told, Told]]:
    """Train all pairs in turns."""
    batch, results = task.batch(), []
    for build in task.builders:
        torch.manual_seed(0)
        torch.compiler.reset()
        pair = build(task.shape)
        sides, first = [build_side(task, pair, ours) for ours in (True, False)], []
        for side in sides:
            started = task.clock()
            first.append(side.step(*batch))
            side.start = task.clock() - started
        refuse_unequal(pair.name, *first)
        for side in sides:
            side.step(*batch)
        results.append((pair, *sides))
    for _ in range(task.rounds):
        for _, *sides in results:
            for side in sides:
                side.speeds.append(task.steps * task.tokens / seconds(task, side, batch))
    for _, *sides in results:
        for side in sides:
            side.memory = peak_memory(side, batch)
    return results


def measure_apart(task: Task) -> list[tuple[Pair, Told, Told]]:
    """Train all pairs in turns, each side in a process of its own."""
    context, results, workers = multiprocessing.get_context("spawn"), [], []
    for build in task.builders:
        torch.manual_seed(0)
        pair, sides, lines, first = build(task.shape), [], [], []
        for ours in (True, False):
            line, end = context.Pipe()
            settings = (end, task, build, ours, torch.get_num_threads())
            worker = context.Process(target=train_one_side, args=settings, daemon=True)
            worker.start()
            loss, start, kernels = line.recv()
            first.append(loss)
            sides.append(Told(start=start, kernels=kernels))
            lines.append(line)
            workers.append(worker)
        refuse_unequal(pair.name, *first)
        results.append((pair, sides, lines))
    for _ in range(task.rounds):
        for _, sides, lines in results:
            for side, line in zip(sides, lines, strict=True):
                line.send("train")
                side.speeds.append(task.steps * task.tokens / line.recv())
    for _, sides, lines in results:
        for side, line in zip(sides, lines, strict=True):
            line.send("end")
            side.memory = line.recv()
    for worker in workers:
        worker.join()
    return [(pair, *sides) for pair, sides, _ in results]


def train_one_side(
    line: Connection, task: Task, build: Callable[[ModelConfig], Pair], ours: bool, threads: int
) -> None:
    """Tell the first loss, its seconds and the kernels; then the seconds of rounds; at the end the memory."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    if ours:
        keep_freed_memory()
    torch.manual_seed(0)
    batch, side = task.batch(), build_side(task, build(task.shape), ours)
    started = task.clock()
    line.send((side.step(*batch), task.clock() - started, side.kernels))
    side.step(*batch)
    while line.recv() == "train":
        line.send(seconds(task, side, batch))
    line.send(peak_memory(side, batch))


def seconds(task: Task, side: Side, batch: tuple[Tensor, ...]) -> float:
    """Return how long a round takes."""
    started = task.clock()
    for _ in range(task.steps):
        side.step(*batch)
    return task.clock() - started


def refuse_unequal(name: str, ours: float, peers: float) -> None:
    """End where two models do not begin at the same loss."""
    if abs(ours - peers) > 1e-4:
        raise SystemExit(f"{name}: the first losses differ, {ours:.6f} and {peers:.6f}")


def peak_memory(side: Side, batch: tuple[Tensor, ...]) -> int:
    """Return the bytes that tensors take at the worst moment of a step."""
    state = [t for s in side.optimizer.state.values() for t in s.values()]
    held = sum(t.numel() * t.element_size() for t in (*side.model.parameters(), *state))
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        side.step(*batch)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    taken = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        peak = max(peak, taken)
    return held + peak


def chosen(model: nn.Module) -> str:
    """Return the libraries of a model's products in one word each, or in one if they are the same."""
    layer = next(layer for layer in model.modules() if isinstance(layer, nn.Linear))
    libraries = getattr(layer, "kernels", ("mkl",))
    return libraries[0] if len(set(libraries)) == 1 else " ".join(libraries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", action="store_true", help="both sides under torch.compile")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peer", nargs="+", default=[""], help="only those whose name begins like this")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one a core")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what a second is")
    parser.add_argument("--apart", action="store_true", help="each side in a process of its own, as shipped")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    builders = [build for build in PAIRS if build.__name__.startswith(tuple(arguments.peer))]
    measuring = measure_apart if arguments.apart else measure
    tasks = {
        name: Task(*SHAPES[name], arguments.rounds, arguments.compile, clock, builders)
        for name in arguments.shape
    }
    measured = {name: measuring(task) for name, task in tasks.items()}
    peak = matmul_peak(clock)
    mode = ("compiled" if arguments.compile else "eager") + (", apart" if arguments.apart else "")
    print(
        f"{os.cpu_count()} cores, {processor()}, instruction set {torch.backends.cpu.get_cpu_capability()}"
        f" (oneDNN at most {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all')}, "
        f"MKL {os.environ.get('MKL_ENABLE_INSTRUCTIONS', 'all')})\n"
        f"torch {torch.__version__}, {mode}, threads: {arguments.threads}, clock: {arguments.clock}, "
        f"fastest product: {peak / 1e9:.0f} GFLOP/s"
    )
    table = Table("shape", "peer", box=None, pad_edge=False)
    for title in (
        "peer tok/s",
        "ours tok/s",
        "ratio",
        "middle half",
        "peer MB",
        "ours MB",
        "peak, peer",
        "peak, ours",
        "first step, peer",
        "ours",
        f"{RUN} steps, peer",
        "ours",
        "kernels",
    ):
        table.add_column(title, justify="right")
    fastest = []
    for name, results in measured.items():
        tokens = tasks[name].tokens
        quickest = max((peer for _, _, peer in results), key=lambda peer: peer.speed)
        for pair, ours, peer in results:
            ratios = [a / b for a, b in zip(ours.speeds, peer.speeds, strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            flops = flops_per_token(pair.ours)
            table.add_row(
                name,
                pair.name + (" *" if peer is quickest else ""),
                f"{peer.speed:,.0f}",
                f"{ours.speed:,.0f}",
                f"{ratio:.2f}",
                f"{low:.2f}–{high:.2f}",
                *(f"{side.memory / 1e6:.0f}" for side in (peer, ours)),
                *(f"{flops * side.speed / peak:.0%}" for side in (peer, ours)),
                *(f"{side.start:.1f} s" for side in (peer, ours)),
                *(f"{side.total(tokens):.0f} s" for side in (peer, ours)),
                ours.kernels,
            )
            if peer is quickest:
                fastest.append(f"{name} {ratio:.2f} × {pair.name}")
    Console(width=190, highlight=False).print(table)
    print("against the fastest peer (*):", ", ".join(fastest))


if __name__ == "__main__":
    main()
