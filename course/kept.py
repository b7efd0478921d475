"""An argument that stays with whoever gives it: what the answer asks of it, the giver sees.

    class Rows(Kept):
        served = ("logits", "gradient")        # these may be called from elsewhere, with plain data

Where a check and an answer share a process it is an object like any other. When a submission is graded the
learner's process gets a stand-in, which has those methods and nothing else; each call is a question over the
wire, answered by the object itself, where no learner's code ever was.
"""

from __future__ import annotations

from collections.abc import Callable


class Kept:
    """Subclass it; methods in `served` take and return plain data."""

    served: tuple[str, ...] = ()


class StandIn:
    """Stands for a kept object in another process; `ask` (index, method, arguments) calls it."""

    def __init__(self, index: int, served: tuple[str, ...], ask: Callable[[int, str, list], object]):
        for method in served:
            setattr(self, method, self._asking(index, method, ask))

    @staticmethod
    def _asking(index: int, method: str, ask: Callable) -> Callable:
        return lambda *arguments: ask(index, method, list(arguments))
