"""Draw the picture of the READMEs from two real runs, once a language; a minute or so.

python docs/picture.py      # writes docs/broken-and-repaired.en.svg and docs/broken-and-repaired.es.svg
"""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
from matplotlib.figure import Figure

from course.messages import message
from minigpt import Config, Recipe, train
from minigpt.messages import LANGUAGES
from minigpt.runs.run import Run

FAULT = "init-scale"
CONFIG = Config(steps=300)
COLOURS = {"broken": "#d55e00", "repaired": "#0072b2"}
LABELS = {"broken": (40, 28), "repaired": (112, 2.7)}  # where each begins: step, loss
TICKS = (1, 2, 5, 10, 20, 50)


def main() -> None:
    """Train both runs and write one picture a language."""
    matplotlib.rcParams["svg.hashsalt"] = "minigpt"  # the same runs give the same file
    with TemporaryDirectory() as folder:
        repaired = Recipe(CONFIG)
        recipes = {"broken": repaired.with_fault(FAULT), "repaired": repaired}
        runs = {name: train(recipe, Path(folder) / name) for name, recipe in recipes.items()}
        for code in LANGUAGES:
            path = Path(__file__).parent / f"broken-and-repaired.{code}.svg"
            draw(runs, code).savefig(path, metadata={"Date": None})


def draw(runs: dict[str, Run], code: str) -> Figure:
    """Return the losses of both runs (in nats a token) over their steps, labelled in language `code`."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, run in runs.items():
        steps, losses = run.column("loss")
        axes.plot(steps, losses, color=COLOURS[name], linewidth=1.6)
        label = message(f"learn.picture-{name}", code, first=f"{losses[0]:.1f}", last=f"{losses[-1]:.1f}")
        axes.annotate(label, LABELS[name], color=COLOURS[name], fontsize=11)
    chance = math.log(CONFIG.vocab_size)
    axes.axhline(chance, color="black", linestyle="--", linewidth=1)
    label = message("learn.picture-chance", code, chance=f"{chance:.2f}")
    axes.annotate(label, (CONFIG.steps, chance * 1.08), fontsize=11, ha="right")
    axes.set(yscale="log", xlim=(0, CONFIG.steps), ylim=(1, 80))
    axes.set(xlabel=message("plot.steps", code), ylabel=message("plot.loss", code))
    axes.set_yticks(TICKS, map(str, TICKS))
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
