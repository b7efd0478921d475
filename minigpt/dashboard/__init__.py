"""The dashboard: one HTML file that shows one run or several side by side, and needs nothing else.

sources = [from_run("experiments/first"), from_run("experiments/second")]
write(Path("dashboard.html"), page(sources))

source.py                where the figures come from
panels.py series.py      the panels as data, thinned to what a screen can show
dynamics.py              the panels that only some runs have
attempts.py              what a guard rolled back, as curves that can be switched on
page.py page.html .css   the page around them
charts.js ticks.js       drawing, with uPlot (in vendor/)
outputs.js page.js       everything that can be pressed, and taken along
live.py                  writing it again while a run is still training
"""

from minigpt.dashboard.live import follow
from minigpt.dashboard.page import page, write
from minigpt.dashboard.source import Source, from_run, from_wandb, named_apart

__all__ = ["Source", "follow", "from_run", "from_wandb", "named_apart", "page", "write"]
