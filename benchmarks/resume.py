"""Does a killed run lose anything? Kill it a hundred times, resume it each time, and compare:

    python benchmarks/resume.py [--kills 100] [--damages 300] [--seed 0]
    python benchmarks/resume.py --guards [--kills 50]        (benchmarks/resume_guards.py)

A kill is SIGKILL at a random moment: any time, while a checkpoint is being written, or in the middle of a
line of the log. After each, every checkpoint that can be seen must be intact, none older than before may be
the newest, and the run is resumed from it. When it reaches its end, weights, moments, metrics, events and
probes must be those of the run that nobody killed, to the last byte (metrics by the clock apart). One kind of
run has a guard that goes back twice; there a rollback may leave an older checkpoint as the newest. Then
single bytes of finished checkpoints are flipped and files cut: none may be accepted.

A child is forked from this process, which has read the text and imported torch but has computed nothing, so
that starting one takes milliseconds and no thread pool is copied half.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import argparse
import dataclasses
import json
import platform
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
import torch._dynamo  # which the first optimizer imports, at the cost of a second

from minigpt.config import Config
from minigpt.data.dataset import load_data
from minigpt.runs import checkpoint
from minigpt.runs.checkpoint import CheckpointError
from minigpt.runs.run import Run, strict
from minigpt.runs.writer import RunWriter
from minigpt.training.audits import baselines
from minigpt.training.callbacks.telemetry import BY_THE_CLOCK
from minigpt.training.guards import Decision
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer

RESULTS = Path(__file__).parent / "RESULTS.md"
BASE = Config(
    n_layer=1, n_head=2, n_embd=32, context=32, batch_size=4, steps=60, warmup_steps=6, dropout=0.1,
    eval_every=10, eval_batches=1, checkpoint_every=5, keep_checkpoints=3, device="cpu",
)  # fmt: skip


class GoBackTwice:
    """After 30 and after 45 steps, go back some steps, leave out the last batch, and halve the rate."""

    name = "go-back-twice"
    moments = ("record",)

    def decide(self, record, state):
        if (state.step, state.attempt) in ((30, 0), (45, 1)):
            return Decision(roll_back_to=state.step - 7, skip=(state.data_step - 1,), scale_rate=0.5)


KINDS = {
    "accumulation and dropout": Recipe(BASE.replace(accumulation=2)),
    "fp16 with overflows": Recipe(BASE.replace(precision="fp16", loss_scale=2.0**24)),
    "groups, patience, z-loss": Recipe(
        BASE.replace(lr_multipliers="wte=0.5", freeze="wpe", patience=50, z_loss=1e-3, schedule="wsd")
    ),
    "a guard that goes back": dataclasses.replace(
        Recipe(BASE.replace(snapshot_every=4)), guards=(GoBackTwice(),)
    ),
    "memory, all mechanisms": Recipe(
        BASE.replace(
            mixer="memory", consolidation="sleep", complementary=True, metaplasticity=True, homeostasis=True
        )
    ),
    "state space": Recipe(BASE.replace(mixer="state_space")),
    "liquid, two tasks, EWC": Recipe(
        BASE.replace(activation="liquid", tasks="conjugations,python", ewc=100.0, ewc_rows=4)
    ),
    "two streams, spiking, BCM": Recipe(
        BASE.replace(
            **{"mixer": "two_streams", "cross_attention_heads": 2, "gate_heads": 2},
            **{"activation": "spiking", "plasticity": "bcm", "meta_plasticity": True, "context": 16},
        )
    ),
}


def fork(action: Callable[[], None]) -> int:
    """Run `action` in a child and return its process id; its code is 0 unless something went wrong."""
    pid = os.fork()
    if pid:
        return pid
    try:
        torch.set_num_threads(1)
        action()
        code = 0
    except BaseException as error:
        print(f"child: {type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.stderr.flush()
    os._exit(code)


def finished(pid: int) -> bool:
    """Wait for a child; whether it came to its end by itself. One that failed ends the measurement."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("a child failed")
    return True


def go_on(recipe: Recipe, run_dir: Path) -> None:
    """Start the run, or resume what there is of it."""
    Trainer(recipe, run_dir, resume=(run_dir / "manifest.json").exists()).run()


def content(run_dir: Path) -> tuple[str, dict[str, bytes]]:
    """Return all that must be equal: logs without what the clock says, bytes of the last checkpoint."""
    run = Run(run_dir)
    metrics = [{key: value for key, value in r.items() if key not in BY_THE_CLOCK} for r in run.metrics]
    last = checkpoint.find(run_dir / "checkpoints")[-1]
    return json.dumps(strict([metrics, run.events, run.probes])), {
        p.name: p.read_bytes() for p in last.iterdir()
    }


class Killer:
    """Kills children, each in a way drawn at random."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.kills: Counter[str] = Counter()
        self.run_seconds = 1.0  # of a whole run; measured on the reference
        self.save_seconds = 0.02  # of writing one checkpoint

    def run(self, recipe: Recipe, run_dir: Path) -> bool:
        """Let the run go on in a child and kill it; whether it reached its end before that."""
        way = self.rng.choice(["any time", "checkpoint", "checkpoint", "line"])
        reader, writer = os.pipe()
        at, delay = self.rng.randrange(1, 4), self.rng.random()
        record = self.rng.randrange(1, 30)

        def action() -> None:
            os.close(reader)
            if way == "checkpoint":
                tell_when_saving(writer, at)
            elif way == "line":
                die_in_the_middle_of_a_line(record, share=delay)
            go_on(recipe, run_dir)

        pid = fork(action)
        os.close(writer)
        if way == "any time":
            time.sleep(delay * self.run_seconds)
            os.kill(pid, signal.SIGKILL)
        elif way == "checkpoint":
            select.select([reader], [], [])  # the save begins, or the child has ended
            time.sleep(delay * self.save_seconds)
            os.kill(pid, signal.SIGKILL)
        os.close(reader)
        if finished(pid):
            return True
        half_written = list((run_dir / "checkpoints").glob(".*"))
        self.kills["checkpoint half written" if half_written else way] += 1
        return False


def tell_when_saving(pipe: int, at: int) -> None:
    """Write a byte when the `at`-th checkpoint from now on begins."""
    save, count = checkpoint.save, iter(range(1, 1_000_000))

    def telling(*arguments):
        if next(count) == at:
            os.write(pipe, b"!")
        return save(*arguments)

    checkpoint.save = telling


def die_in_the_middle_of_a_line(record: int, share: float) -> None:
    """Be killed when only a part of the `record`-th line from now on is on disk."""
    append, count = RunWriter._append, iter(range(1, 1_000_000))

    def torn(self, name, values):
        if next(count) < record:
            return append(self, name, values)
        line = (json.dumps(strict(values)) + "\n").encode()
        with (self.path / name).open("ab", buffering=0) as log:
            log.write(line[: int(share * len(line))])
        os.kill(os.getpid(), signal.SIGKILL)

    RunWriter._append = torn


def newest(run_dir: Path) -> int:
    """Return the step of the newest checkpoint, all that can be seen being intact; -1 without any."""
    steps = [-1]
    for path in checkpoint.find(run_dir / "checkpoints"):
        checkpoint.verify(path)
        steps.append(int(path.name.removeprefix("step-")))
    return max(steps)


def kill_and_compare(folder: Path, wanted: int, killer: Killer) -> list[Path]:
    """Kill runs of every kind until enough kills have struck; return the runs, all come out equal."""
    references: dict[str, tuple] = {}
    for kind, recipe in KINDS.items():
        path = folder / kind.replace(" ", "-")
        started = time.perf_counter()
        finished(fork(lambda recipe=recipe, path=path: go_on(recipe, path)))
        killer.run_seconds = time.perf_counter() - started
        references[kind] = content(path)
    runs: list[Path] = []
    while sum(killer.kills.values()) < wanted or len(runs) % len(KINDS):
        kind = list(KINDS)[len(runs) % len(KINDS)]
        run_dir = folder / f"killed-{len(runs)}"
        seen = -1
        while not killer.run(KINDS[kind], run_dir):
            now = newest(run_dir)
            if now < seen and not KINDS[kind].guards:
                raise SystemExit(f"{run_dir}: step {seen} was saved, and now the newest is {now}")
            seen = now
        if content(run_dir) != references[kind]:
            raise SystemExit(f"{run_dir} is not the run that nobody killed")
        runs.append(run_dir)
    return runs


def damage_and_look(runs: list[Path], wanted: int, rng: random.Random) -> None:
    """Flip a byte of the newest checkpoint, or cut a file, and make sure that it is refused each time."""
    for trial in range(wanted):
        folder = rng.choice(runs) / "checkpoints"
        *_, before, last = checkpoint.find(folder)
        path = last / rng.choice([*checkpoint.FILES, "hashes.json"])
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        path.write_bytes(whole[:at] if trial % 2 else flipped)
        try:
            checkpoint.verify(last)
        except CheckpointError:
            pass
        else:
            raise SystemExit(f"{path} was accepted with byte {at} {'cut' if trial % 2 else 'flipped'}")
        if checkpoint.latest(folder)[0] != before:
            raise SystemExit(f"{folder}: the checkpoint before was not used")
        path.write_bytes(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guards", action="store_true", help="kill in rollbacks, snapshots and skips")
    parser.add_argument("--kills", type=int, help="by default 100, with --guards 50")
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    rng = random.Random(arguments.seed)
    baselines(load_data(BASE))  # read once, here
    if arguments.guards:
        import resume_guards  # which takes its children from here

        line = resume_guards.measure(arguments.kills or 50, arguments.seed)
        append("Kill and resume with guards: `benchmarks/resume.py --guards`", line)
        return
    killer = Killer(rng)
    folder = Path(tempfile.mkdtemp())
    try:
        runs = kill_and_compare(folder, arguments.kills or 100, killer)
        damage_and_look(runs, arguments.damages, rng)
    finally:
        shutil.rmtree(folder)
    ways = ", ".join(f"{number} {way}" for way, number in killer.kills.most_common())
    line = (
        f"{sum(killer.kills.values())} kills ({ways}) over {len(runs)} runs of {len(KINDS)} kinds, "
        "each resumed: weights, moments and all logs are those of the uninterrupted run in all. "
        f"{arguments.damages} checkpoints with a byte flipped or a file cut: all refused. "
        f"{time.perf_counter() - started:.0f} s."
    )
    append("Kill and resume: `benchmarks/resume.py`", line)


def append(title: str, line: str) -> None:
    """Print a result and write it into RESULTS.md."""
    print(line)
    machine = f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} VM"
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"\n## {title}\n\n{date.today().isoformat()}, {machine}. {line}\n")


if __name__ == "__main__":
    main()
