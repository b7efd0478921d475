"""How long do a check and a dashboard of a very long run take? One command:

    python benchmarks/scale.py [--steps 1000000]

Writes a run directory of that many steps, as a trainer would log it, then times `minigpt check` and
`minigpt dashboard` on it, each in a process of its own: wall clock, CPU time and peak memory, and the size of
the page. Bar at a million steps: both together below 5 s, each below 600 MB, the page below 3 MB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def long_run(path: Path, steps: int) -> None:
    """Train two steps for manifest and probes, then log `steps` of them with an invented loss."""
    import numpy as np

    from minigpt.config import Config
    from minigpt.training.recipe import Recipe
    from minigpt.training.schedule import lr_at
    from minigpt.training.trainer import train

    train(Recipe(Config(steps=2, warmup_steps=1, eval_batches=1)), path)
    config = Config(steps=steps, warmup_steps=min(1000, steps))
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8")) | {"config": config.to_dict()}
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    first = json.loads((path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    probes = [json.loads(line) for line in (path / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    audits = {
        probe["kind"]: probe for probe in probes if probe["kind"] not in ("start", "rehearsal", "baselines")
    }
    with (path / "probes.jsonl").open("a", encoding="utf-8") as file:
        for step in np.linspace(0, steps - 1, 101).astype(int).tolist()[1:]:
            file.writelines(json.dumps(audit | {"step": step}) + "\n" for audit in audits.values())
    rng = np.random.default_rng(0)
    progress = np.arange(steps) / steps
    losses = 1.2 + (first["loss"] - 1.2) * np.exp(-20 * progress) + rng.normal(0, 0.05, steps)
    norms = first["grad_norm"] * np.exp(rng.normal(0, 0.3, steps))
    with (path / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for step, (loss, norm) in enumerate(zip(losses.tolist(), norms.tolist(), strict=True)):
            rate = lr_at(step, config)
            record = first | {"step": step, "loss": loss, "grad_norm": norm, "clipped": norm > 1.0}
            record |= {"lr": {"decay": rate, "no_decay": rate}}
            if (step + 1) % config.eval_every == 0:
                record |= {"val_loss": loss + 0.05, "loss_variance": 0.0025, "tokens_per_second": 40000.0}
            file.write(json.dumps(record) + "\n")


def measured(*arguments: str) -> float:
    """Run a `minigpt` command, print what it took, and return its seconds by the clock."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "minigpt", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    cpu = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    print(f"minigpt {arguments[0]}: {seconds:.2f} s ({cpu:.2f} s of CPU), {peak:.0f} MB, exit code {code}")
    return seconds


def main() -> None:
    """Write the run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        # In a process of its own: the system counts what a parent holds towards the peak of its children.
        writer = multiprocessing.get_context("spawn").Process(target=long_run, args=(run, steps))
        writer.start()
        writer.join()
        print(f"{steps:,} steps, {(run / 'metrics.jsonl').stat().st_size / 1e6:.0f} MB of metrics")
        total = measured("check", str(run)) + measured("dashboard", str(run))
        print(f"together: {total:.2f} s; page: {(run / 'dashboard.html').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
