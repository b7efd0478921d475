"""Memory beside attention: a mixer in which a token reads the present, the last tokens, and earlier steps.

    present      attention over its document                                       `mixer.py`
    short term   the last tokens of its document, in a buffer of fixed size        `short_term.py`
    long term    tokens of earlier steps, in slots that last as long as the run    `long_term.py`, `search.py`

A gate (`gate.py`) weighs the three; `selection.py` says which slots count. After each optimizer step
`consolidation.py` chooses the tokens that go to the long-term memory. Four mechanisms can be switched on:
`homeostasis.py`, `sleep.py`, `complementary.py` and `metaplasticity.py`. `figures.py` measures all of it.

Three rules keep memory from leaking:

* A forward pass reads the long-term memory and never writes it: rows cannot see one another, and the same
  batch gives the same logits twice.
* Writing takes two moments. In training mode a forward pass *stages* what could be remembered;
  `commit_memory` writes it once the optimizer step is taken. A dropped step leaves nothing, and evaluation
  stages nothing.
* The short-term memory is part of the layer state, so a new document begins with an empty one.

The design follows seed 000, a GPT whose loss swung between 7 and 30; what its public code did instead is in
`docs/seeds.md`.
"""

from minigpt.model.mixers.memory.figures import memory_figures, memory_sizes
from minigpt.model.mixers.memory.mixer import Memory

__all__ = ["Memory", "memory_figures", "memory_sizes"]
