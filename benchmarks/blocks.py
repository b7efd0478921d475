"""Is every fault of a block named, and is every sound block called healthy? By `check`, and by a monitor.

    python benchmarks/blocks.py [check monitor] [--first-seed 0] [--broken 5] [--sound 10] [--only NAME ...]

`check` judges runs of our trainer; `monitor` watches a plain loop that uses the same block, as other people
write one: AdamW, a clipped gradient, `commit_memory` after the step. Each fault runs on five seeds, each
sound variant on ten. Exit code 1 where a name is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from minigpt.config import Config
from minigpt.data.batches import Batch, evaluation_batches, get_batch
from minigpt.data.dataset import load_data
from minigpt.diagnosis import Verdict, Walk, check
from minigpt.faults import FAULTS
from minigpt.faults.memory import MEMORY_FAULTS
from minigpt.model.state import commit_memory
from minigpt.monitor import Monitor
from minigpt.training.plasticity import Activity, build_plasticity, rules
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

BASE = Config(
    n_layer=2, n_head=2, n_embd=16, context=16, batch_size=8, steps=80, warmup_steps=8, lr_max=5e-3,
    lr_min=5e-4, eval_every=20, eval_batches=2, checkpoint_every=0, device="cpu",
)  # fmt: skip
MEMORY = {"mixer": "memory", "short_term_size": 8, "memory_temperature": 4.0}
HOMEOSTASIS = MEMORY | {"homeostasis": True, "homeostasis_target": 0.5}
TASKS = {"tasks": "conjugations,python", "schedule": "constant", "lr_max": 1e-2, "n_embd": 32, "steps": 240}
BROKEN = {  # what each fault breaks
    **{fault.id: HOMEOSTASIS for fault in MEMORY_FAULTS},
    "undeclared-stdp": {"activation": "spiking"},
    "forgetting": TASKS,
}
SPIKES = {"activation": "spiking"}
STREAMS = {"mixer": "two_streams", "n_layer": 1}
SOUND = {
    "memory": MEMORY,
    "memory, homeostasis": HOMEOSTASIS,
    "memory, sleep": MEMORY | {"consolidation": "sleep"},
    "memory, by chance": MEMORY | {"consolidation": "random"},
    "memory, complementary, BCM": MEMORY | {"complementary": True, "metaplasticity": True},
    "memory, stop-gradient": MEMORY | {"use_stop_gradient": True},
    "memory, hard selection, FAISS": MEMORY | {"memory_selection": "hard", "memory_search": "faiss"},
    "memory, seed 000's gate": {"mixer": "memory", "short_term_size": 8},
    "state space": {"mixer": "state_space"},
    "spiking": SPIKES,
    "liquid": {"activation": "liquid"},
    "two streams, sequential": STREAMS | {"integration": "sequential"},
    "two streams, parallel": STREAMS | {"integration": "parallel"},
    "two streams, attention, gate": STREAMS | {"cross_attention_heads": 4, "gate_heads": 4},
    "pair STDP": SPIKES | {"plasticity": "pair"},
    "triplet STDP": SPIKES | {"plasticity": "triplet"},
    "homeostatic STDP": SPIKES | {"plasticity": "homeostatic"},
    "BCM, a rate per weight": SPIKES | {"plasticity": "bcm", "meta_plasticity": True},
    "two tasks, replay": TASKS | {"replay": 0.25},
}
OF_A_LOOP = {  # a monitor's own names for the same, which it asks first
    "memory-dead-gate": {"frozen-parameters"},
    "memory-batch-selection": {"batch-mixing"},
}


def by_check(config: Config, fault: str | None, folder: Path) -> Walk:
    """Train with our trainer and walk the stability check."""
    recipe = Recipe(config)
    train(recipe.with_fault(fault) if fault else recipe, folder)
    return check(folder, whole=True)


def by_monitor(config: Config, fault: str | None, folder: Path) -> Walk:
    """Train in a loop that knows nothing of our trainer, under a monitor."""
    recipe = Recipe(config)
    if fault and FAULTS[fault].part == "build_model":  # the block is broken; the loop is another's
        recipe = recipe.with_fault(fault)
    data = load_data(config)
    torch.manual_seed(config.seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    plasticity = build_plasticity(model, config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    undeclared = Activity(spiking(model)) if fault == "undeclared-stdp" else None
    texts = data.tasks or [data]
    with Monitor(
        model,
        optimizer,
        vocab_size=config.vocab_size,
        run_dir=folder,
        writes=plasticity.writes if plasticity else (),
    ) as monitor:
        for step in range(config.steps):
            now = step * len(texts) // config.steps
            batch = one_batch(texts, now, config, step)
            loss = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if plasticity:
                plasticity.write()
            if undeclared:
                write_as_stdp_asks(model, undeclared)
            commit_memory(model, step)
            monitor.step(loss)
            if (step + 1) % config.eval_every == 0:
                losses = [validation_loss(model, text.validation, config) for text in texts]
                named = {f"tasks.{at}": loss for at, loss in enumerate(losses)} if data.tasks else {}
                monitor.note(val_loss=losses[now], **named)
    return monitor.check(whole=True)


def one_batch(texts, now: int, config: Config, step: int) -> Batch:
    """Return a batch of the current text; replayed rows are of the one before."""
    batch = get_batch(texts[now].train, config, step)
    rows = config.replayed_rows()
    if not now or not rows:
        return batch
    old = get_batch(texts[now - 1].train, config, config.steps + step)
    return Batch(*(torch.cat([new[rows:], past[:rows]]) for new, past in zip(batch, old, strict=True)))


@torch.no_grad()
def validation_loss(model, tokens, config: Config) -> float:
    """Return the mean loss on a few validation windows."""
    model.eval()
    losses = [
        F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten()).item()
        for batch in evaluation_batches(tokens, config)
    ]
    model.train()
    return sum(losses) / len(losses)


def spiking(model) -> dict:
    """Return the feed-forwards of spiking units by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "fire")}


@torch.no_grad()
def write_as_stdp_asks(model, activity: Activity) -> None:
    """Move the weights beside the optimizer."""
    for name, module in spiking(model).items():
        for pre, post in activity.seen[name]:
            module.c_fc.weight += 1e-3 * rules.pair(pre, post, 4.0)
    activity.forget()


WAYS = {"check": by_check, "monitor": by_monitor}


def cases(
    only: list[str], first: int, broken: int, sound: int
) -> Iterator[tuple[str, str | None, dict, range]]:
    """Yield name, fault, settings and seeds of everything that is to be judged."""
    for fault, settings in BROKEN.items():
        if not only or fault in only:
            yield fault, fault, settings, range(first, first + broken)
    for name, settings in SOUND.items():
        if not only or name in only:
            yield name, None, settings, range(first, first + sound)


def names(fault: str, way: str) -> set[str]:
    """Return the leaves that name a fault."""
    more = OF_A_LOOP.get(fault, set()) if way == "monitor" else set()
    return {FAULTS[fault].leaf} | more


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", default=list(WAYS), help=", ".join(WAYS))
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--broken", type=int, default=5, help="seeds of each fault")
    parser.add_argument("--sound", type=int, default=10, help="seeds of each sound variant")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    for way in arguments.ways:
        print(f"by {way}")
        for name, fault, settings, seeds in cases(
            arguments.only, arguments.first_seed, arguments.broken, arguments.sound
        ):
            started, misses = time.perf_counter(), []
            for seed in seeds:
                with tempfile.TemporaryDirectory() as folder:
                    walk = WAYS[way](BASE.replace(seed=seed, **settings), fault, Path(folder) / "run")
                right = walk.leaf in names(fault, way) if fault else walk.verdict is Verdict.PASS
                if not right:
                    misses.append(f"seed {seed}: {walk.leaf or walk.verdict.value}")
            wrong += len(misses)
            kind = "named" if fault else "healthy"
            seconds = (time.perf_counter() - started) / len(seeds)
            print(
                f"  {name:32} {kind} {len(seeds) - len(misses)}/{len(seeds)}  {seconds:4.1f} s a run"
                f"  {'; '.join(misses)}",
                flush=True,
            )
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
