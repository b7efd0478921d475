"""Trains one run after the other, each in a child of its own, and kills every child by SIGKILL after step 6.

    python kill_worker.py FOLDER

This process has read the text and imported everything, on one thread, so that a child is forked in
milliseconds and no thread pool is copied half.
"""

import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # which the first optimizer imports, at the cost of a second
from small_runs import MINIMAL

from minigpt.data.dataset import load_data
from minigpt.training.audits import baselines
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer

MEMORY = {"mixer": "memory", "short_term_size": 4, "consolidation_interval": 3}
FORMS = {
    "attention": {"activation": "swiglu", "dropout": 0.1},
    "memory": MEMORY | {"consolidation": "sleep", "sleep_steps": 1, "homeostasis": True},
    "state_space": {"mixer": "state_space"},
    "spiking": {"activation": "spiking"},
    "liquid": {"activation": "liquid"},
    "two_streams": {"mixer": "two_streams", "cross_attention_heads": 2, "gate_heads": 2},
    "plastic": {"activation": "spiking", "plasticity": "bcm", "meta_plasticity": True},
}


class KillAfter:
    """Ends the process as a power cut would, in the middle of a step's work."""

    def on_step(self, trainer, record):
        if record["step"] == 6:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    """Leave a run in every folder `folder`/<form> that was cut off."""
    torch.set_num_threads(1)
    baselines(load_data(MINIMAL))  # kept for every child
    for form, changes in FORMS.items():
        pid = os.fork()
        if not pid:
            Trainer(Recipe(MINIMAL.replace(**changes)), folder / form, [KillAfter()]).run()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise SystemExit(f"{form} was not killed: {status}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
