"""What every process of `torchrun` does in test_distributed.py: each scenario named, one after the other.

    torchrun … ddp_worker.py FOLDER SCENARIO…

A scenario trains into FOLDER/<scenario>-<number of processes>: one process alone gives what to compare with.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from small_runs import MINIMAL

from minigpt.data.batches import get_batch
from minigpt.messages import MiniGPTError
from minigpt.model.state import memory_of
from minigpt.monitor.recovery import Recovery
from minigpt.runs import checkpoint
from minigpt.training.distributed import end_process
from minigpt.training.guards import Decision
from minigpt.training.interrupt import Interrupted
from minigpt.training.recipe import Recipe
from minigpt.training.snapshots import Snapshot
from minigpt.training.trainer import Trainer

torch.set_num_threads(1)


def unequal_masks(tokens, config, step, micro=0, rank=0, world_size=1):
    """Count from 0 to all targets of a row, by a rule that knows nothing of processes."""
    batch = get_batch(tokens, config, step, micro, rank, world_size)
    rows = torch.arange(config.batch_size)[rank::world_size]
    kept = (rows * 5 + micro * 3 + step) % (config.context + 1)
    return batch._replace(mask=torch.arange(config.context) < kept[:, None])


class Interrupter:
    """Sends the main process alone a Ctrl-C in the middle of the run."""

    def on_step(self, trainer, record):
        if record["step"] == 5:
            os.kill(os.getpid(), signal.SIGINT)


class GoBack:
    """After step 9 go back to step 4, and skip two batches."""

    name = "go-back"
    moments = ("record",)

    def decide(self, record, state):
        assert os.environ.get("RANK", "0") == "0", "the first process decides"
        return Decision(roll_back_to=4, skip=(4, 5)) if state.step == 9 and not state.attempt else None


def without_two(tokens, config, step, *place):
    """Batches of which numbers 4 and 5 were never made."""
    return get_batch(tokens, config, step + 2 if step >= 4 else step, *place)


BASE = Recipe(MINIMAL.replace(batch_size=8, eval_batches=2))
ACCUMULATED = Recipe(BASE.config.replace(accumulation=3))
RECIPES = {
    "plain": BASE,
    "accumulated": ACCUMULATED,
    "masked": dataclasses.replace(BASE, get_batch=unequal_masks),
    "accumulated-masked": dataclasses.replace(ACCUMULATED, get_batch=unequal_masks),
    "guarded": dataclasses.replace(
        Recipe(BASE.config.replace(snapshot_every=4, accumulation=2)), guards=(GoBack(),)
    ),
    "never-given": dataclasses.replace(Recipe(BASE.config.replace(accumulation=2)), get_batch=without_two),
    "fp16": Recipe(BASE.config.replace(precision="fp16", loss_scale=2.0**22)),
    "memory": Recipe(
        BASE.config.replace(
            **{"mixer": "memory", "short_term_size": 4, "memory_dropout": 0.0, "homeostasis": True},
            **{
                "consolidation": "sleep",
                "consolidation_interval": 4,
                "sleep_steps": 2,
                "metaplasticity": True,
            },
        )
    ),
}


def interrupted(run_dir: Path) -> None:
    """Train the plain recipe, stopped on the way and resumed."""
    trainer = Trainer(BASE, run_dir, [Interrupter()])
    try:
        trainer.run()
    except Interrupted:
        assert trainer.step == 6
    Trainer(BASE, run_dir, resume=True).run()


class Died(Exception):
    """Stands for SIGKILL: nothing of the run goes on."""


def killed(run_dir: Path) -> None:
    """Train the guarded recipe; every process dies two steps after the rollback, and the run is resumed."""
    recipe, seen = RECIPES["guarded"], []

    def deadly(tokens, config, step, micro=0, *place):
        if (step, micro) == (0, 0):
            seen.clear()  # the first process has looked at batches before the run
        seen.append((step, micro))
        if seen.count((8, 0)) == 2:  # batch 8 comes in step 8, and after the rollback in step 6
            raise Died
        return recipe.get_batch(tokens, config, step, micro, *place)

    try:
        Trainer(dataclasses.replace(recipe, get_batch=deadly), run_dir).run()
        raise AssertionError("the run was to die")
    except Died:
        Trainer(recipe, run_dir, resume=True).run()


def killed_in_the_rollback(run_dir: Path) -> None:
    """Train the guarded recipe; every process dies when half a snapshot is back, and the run is resumed."""
    restore = Snapshot.restore

    def half(self, model, *_others):
        with torch.no_grad():
            next(model.parameters()).zero_()
        raise Died

    Snapshot.restore = half
    try:
        Trainer(RECIPES["guarded"], run_dir).run()
        raise AssertionError("the run was to die")
    except Died:
        Snapshot.restore = restore
        Trainer(RECIPES["guarded"], run_dir, resume=True).run()


def failing(run_dir: Path) -> None:
    """Let the first process alone find its disk full, and write down how each process ended."""
    real = checkpoint._sync

    def full(path):
        raise OSError("No space left on device")

    checkpoint._sync = full
    try:
        Trainer(BASE, run_dir).run()
    except MiniGPTError as error:
        (run_dir / f"rank-{os.environ['RANK']}.txt").write_text(type(error).__name__)
    checkpoint._sync = real


def anybodys_loop(run_dir: Path) -> None:
    """A plain loop under DistributedDataParallel with `Recovery`; one process alone meets the bad batches."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if started := not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def batch_at(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.randn(32, 8, generator=torch.Generator().manual_seed(size * number + rank))
        targets = (inputs[:, 0] > 0).long()
        spoilt = rank == 1 and number in (45, 46)
        return (inputs * 8, 1 - targets) if spoilt else (inputs, targets)

    recovery = Recovery(model, optimizer, batch_at)
    for updates, (inputs, targets) in enumerate(recovery.batches(steps=70)):
        loss = torch.nn.functional.cross_entropy(parallel(inputs), targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if recovery.step(loss, norm) == "continue":
            optimizer.step()
        optimizer.zero_grad()
        if updates == 55:  # the weights of both are damaged, and come back from a copy
            with torch.no_grad():
                model[2].weight.mul_(-1e3)
    run_dir.mkdir(exist_ok=True)
    (run_dir / f"decisions-{rank}.json").write_text(json.dumps(recovery.decisions))
    save_file(model.state_dict(), run_dir / f"weights-{rank}.safetensors")
    if started:
        torch.distributed.destroy_process_group()


def main(folder: Path, scenarios: list[str]) -> None:
    """Run the scenarios, one after the other, in one group of processes."""
    for scenario in scenarios:
        run_dir = folder / f"{scenario}-{os.environ.get('WORLD_SIZE', '1')}"
        if scenario in RECIPES:
            trainer = Trainer(RECIPES[scenario], run_dir)
            trainer.run()
            if memory := memory_of(trainer.model):
                save_file(memory, run_dir / f"memory-{os.environ.get('RANK', '0')}.safetensors")
        else:
            others = {"interrupted": interrupted, "killed": killed, "failing": failing}
            others |= {"killed-in-the-rollback": killed_in_the_rollback, "anybodys-loop": anybodys_loop}
            others[scenario](run_dir)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    end_process(0)
