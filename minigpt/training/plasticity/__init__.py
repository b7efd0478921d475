"""Plasticity: weights of spiking units that change by what fires before what, beside the optimizer's updates.

rules.py     pair, triplet, BCM and homeostatic scaling, as formulas
writer.py    watches a training step and makes the writes; a part of the recipe
"""

from minigpt.training.plasticity import rules
from minigpt.training.plasticity.writer import Activity, Plasticity, build_plasticity

__all__ = ["Activity", "Plasticity", "build_plasticity", "rules"]
