"""The dynamics tree (Phase 19): does the run stay sound while it goes on? Its questions are still to come."""

from minigpt.diagnosis.tree import Tree

DYNAMICS = Tree("dynamics", ())

__all__ = ["DYNAMICS"]
