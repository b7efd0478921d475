"""Small configs that train, as flags too, and processes that run them."""

import os
import subprocess
import sys

from minigpt.config import Config

# One choice of kernels: bit for bit holds across processes only for that, and two that measure at one time
# may choose differently.
MINIMAL = Config(
    n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, steps=12, warmup_steps=3,
    eval_every=5, eval_batches=1, checkpoint_every=4, device="cpu", kernels="mkl",
)  # fmt: skip
SHORT = Config(steps=2, warmup_steps=1, eval_batches=1)  # the course's model
SMALL = Config(
    steps=40, warmup_steps=8, n_layer=1, n_head=2, n_embd=16, context=32, batch_size=4, eval_batches=1
)

HANGS = 600  # seconds after which a process that needs a few is taken to hang, on however busy a machine


def flags(config: Config) -> list[str]:
    """Return the command-line flags that ask for `config`."""
    default = Config()
    return [
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in config.to_dict().items()
        if value != getattr(default, name)
    ]


def spawn(*argv: object, **settings) -> subprocess.Popen:
    """Start `python …` as a user would; whoever calls must wait for it."""
    environment = {**os.environ, **settings.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **settings,
    )
