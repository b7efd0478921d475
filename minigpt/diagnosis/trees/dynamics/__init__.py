"""The dynamics tree (Phase 19): does the run stay healthy while it trains? No questions yet."""

from minigpt.diagnosis.tree import Tree

DYNAMICS = Tree("dynamics", ())

__all__ = ["DYNAMICS"]
