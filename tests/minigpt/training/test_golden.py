"""Golden loss traces: a change that should not move the loss proves here that it did not.

golden/<preset>.txt holds the losses of a preset's first steps, with all digits of a float32. On one machine,
with one choice of kernels and threads, the same run gives the same digits again. Another choice rounds
differently, and training passes the difference on. What that may come to is measured by rounding on purpose:
each weight and each gradient is moved by about one rounding error at every step, and `TOLERANCE` is twice
the most that this moved a loss, in five presets and ten draws. Real choices stay far below: plain, AVX2 and
AVX-512 kernels, in PyTorch, oneDNN and MKL, one thread or two, differ by 3 × 2⁻²¹ at most.

    python tests/minigpt/training/test_golden.py --rounding   # measure that again

After a change that is meant to move the loss, write the traces again and look at the difference:

    python tests/minigpt/training/test_golden.py
"""

import sys
import tempfile
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from minigpt.config import Config
from minigpt.config.presets import load_preset
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer

FOLDER = Path(__file__).parent / "golden"
PRESETS = ("healthy", "tiny", "accumulated", "rotary-swiglu", "warmup-stable-decay")
STEPS = 20
SPACING = 2.0**-21  # nats: from one float32 to the next, between 4 and 8
TOLERANCE = 25 * SPACING


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
    """Write every trace again."""
    torch.set_num_threads(1)
    for preset in PRESETS:
        with tempfile.TemporaryDirectory() as folder:
            trace = losses(preset, Path(folder) / "run")
        lines = [f"# {preset}: step, loss in nats per token", *(f"{i} {x:.9g}" for i, x in enumerate(trace))]
        (FOLDER / f"{preset}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def rounding(draws: int = 10) -> None:
    """Print by how many spacings the losses move when each weight and gradient is rounded once more a step.

    A product of matrices leaves an error of about 2⁻²³ of the largest gradient of its tensor in each of them,
    and an update one of half that in each weight.
    """
    generator = torch.Generator()

    def disturb(optimizer, args, kwargs):
        for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
            noise, other = torch.randn(2, *weight.shape, generator=generator)
            weight.grad += noise * weight.grad.abs().max() * 2.0**-23
            weight.data *= 1 + other * 2.0**-24

    torch.set_num_threads(1)
    register_optimizer_step_pre_hook(disturb)
    for preset in PRESETS:
        moved = []
        for draw in range(draws):
            generator.manual_seed(draw)
            with tempfile.TemporaryDirectory() as folder:
                trace = losses(preset, Path(folder) / "run")
            moved.append(max(abs(a - b) for a, b in zip(trace, golden(preset), strict=True)) / SPACING)
        print(f"{preset:20} largest {max(moved):5.1f}  each", *(f"{most:.1f}" for most in moved), flush=True)


if __name__ == "__main__":
    sys.exit(rounding() if "--rounding" in sys.argv else write())
