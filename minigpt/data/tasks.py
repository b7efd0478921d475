"""Several texts that a run learns one after the other.

    data = load_data(Config(tasks="conjugations,python"))
    [task.name for task in data.tasks]        # ["conjugations", "python"]

A task is the course's corpus (`conjugations`), the source of minigpt itself (`python`), or a UTF-8 file. All
of them are read with one tokenizer: the first task's, for nobody knows the later ones when a run begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from minigpt.data.corpus import Corpus, load_corpus, load_text, split_text

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Task:
    """One of the texts, as token ids."""

    name: str
    train: Tensor  # (N,) int64
    validation: Tensor  # (M,) int64


def load_task(name: str) -> Corpus:
    """Return the text of a task.

    Raises:
        MiniGPTError: it is no task's name, and no file that can be read.
    """
    return NAMED[name]() if name in NAMED else load_text(name, flag="--tasks")


def _python() -> Corpus:
    sources = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    return split_text("python", "\n".join(sources))


NAMED: dict[str, Callable[[], Corpus]] = {"conjugations": load_corpus, "python": _python}
