"""Golden loss traces: a change that should not move the loss proves here that it did not.

golden/<preset>.txt holds the losses of a preset's first steps, with all digits of a float32. On one machine
the same run gives the same digits again. Another CPU, thread count or build rounds differently: plain, AVX2
and AVX-512 kernels, one thread or two, differ by 1e-6 here, and `TOLERANCE` is twenty times that.

After a change that is meant to move the loss, write the traces anew and look at the difference:

    python tests/minigpt/training/test_golden.py
"""

import sys
import tempfile
from pathlib import Path

import pytest
import torch

from minigpt.config import Config
from minigpt.presets import load_preset
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer

FOLDER = Path(__file__).parent / "golden"
PRESETS = ("healthy", "tiny", "accumulated", "rotary-swiglu", "warmup-stable-decay")
STEPS = 20
TOLERANCE = 2e-5  # nats


def losses(preset: str, run_dir: Path) -> list[float]:
    """Train a preset's first steps, with its schedule squeezed into them at a fifth of its rate.

    So short a warm-up to the full rate would make a spike, and a spike makes much of rounding.
    """
    config = Config.from_dict(load_preset(preset))
    config = config.replace(
        steps=STEPS, warmup_steps=5, lr_max=config.lr_max / 5, lr_min=config.lr_min / 5,
        eval_every=0, eval_batches=1, checkpoint_every=0, device="cpu",
    )  # fmt: skip
    return Trainer(Recipe(config), run_dir, telemetry=False).run().column("loss")[1].tolist()


def golden(preset: str) -> list[float]:
    """Read the losses that `preset` had when its trace was written."""
    lines = (FOLDER / f"{preset}.txt").read_text(encoding="utf-8").splitlines()
    steps, values = zip(*(line.split() for line in lines if not line.startswith("#")), strict=True)
    assert list(map(int, steps)) == list(range(STEPS))
    return list(map(float, values))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_losses_are_those_written_down(preset, tmp_path):
    assert losses(preset, tmp_path / "run") == pytest.approx(golden(preset), abs=TOLERANCE)


@pytest.mark.parametrize("preset", ["tiny", "rotary-swiglu"])
def test_the_same_run_gives_the_same_digits(preset, tmp_path):
    assert losses(preset, tmp_path / "one") == losses(preset, tmp_path / "two")


def test_presets_that_should_differ_do_by_more_than_the_tolerance():
    traces = [golden(preset) for preset in PRESETS]
    for index, one in enumerate(traces):
        for other in traces[index + 1 :]:
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 2 * TOLERANCE


def write() -> None:
    """Write every trace anew."""
    torch.set_num_threads(1)
    for preset in PRESETS:
        with tempfile.TemporaryDirectory() as folder:
            trace = losses(preset, Path(folder) / "run")
        lines = [f"# {preset}: step, loss in nats per token", *(f"{i} {x:.9g}" for i, x in enumerate(trace))]
        (FOLDER / f"{preset}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
