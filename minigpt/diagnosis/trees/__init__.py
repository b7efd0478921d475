"""The decision trees, in the order in which they are walked: configuration hands over to dynamics."""

from minigpt.diagnosis.tree import Tree
from minigpt.diagnosis.trees.configuration.questions import CONFIGURATION
from minigpt.diagnosis.trees.dynamics import DYNAMICS

TREES: tuple[Tree, ...] = (CONFIGURATION, DYNAMICS)

__all__ = ["CONFIGURATION", "DYNAMICS", "TREES"]
