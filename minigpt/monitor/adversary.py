"""Are the weights others when a batch is accumulated once more? So it is in training against an adversary.

Adversarial training (for text: Miyato et al., 2017) moves the embeddings where it hurts, makes a second
backward pass on the same batch, and puts them back. A batch that is accumulated twice by mistake meets the
same weights.
"""

from __future__ import annotations

from torch import Tensor, nn

ASKED = 3  # times that a batch came again, of which the weights are compared


class Adversary:
    """Compares the weights of two passes over one batch, from the step after the first such pair on."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._last: int | None = None  # what the pass before in this step read
        self._sums: list[float] = []  # of the weights, then
        self._seen = False
        self._asked = self._moved = 0

    def note(self, batch: Tensor | int | None) -> None:
        """A forward pass begins; `batch` is the checksum of its tokens, where nobody waits for it."""
        if self._asked >= ASKED or not isinstance(batch, int):
            return
        again, self._last = batch == self._last, batch
        if self._seen:
            before, self._sums = self._sums, _sums(self._model)
            if again:
                self._asked += 1
                self._moved += before != self._sums

    def end_step(self) -> None:
        """Close a step."""
        self._last = None

    def note_again(self) -> None:
        """A step has accumulated one batch twice."""
        self._seen = True

    @property
    def moved(self) -> bool:
        """Whether the weights were others each time that a batch came again."""
        return self._asked > 0 and self._moved == self._asked


def _sums(model: nn.Module) -> list[float]:
    return [float(p.detach().double().sum()) for p in model.parameters() if p.device.type == "cpu"]
