"""Text to tokens: what a run trains and validates on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from minigpt.config import Config
from minigpt.data.corpus import Corpus, load_corpus, load_text
from minigpt.data.overlap import overlap
from minigpt.data.tasks import Task, load_task
from minigpt.data.tokenizer import SHIPPED, Tokenizer, shipped_tokenizer
from minigpt.messages import MiniGPTError


@dataclass(frozen=True)
class Data:
    """Both sides of a text as token ids, with the tokenizer that made them."""

    train: Tensor  # (N,) int64
    validation: Tensor  # (M,) int64
    tokenizer: Tokenizer
    name: str
    hashes: dict[str, str]  # SHA-256 of what was read, for the manifest
    tasks: tuple[Task, ...] = ()  # of a run that learns several; both sides above hold all of them

    @cached_property
    def overlap(self) -> dict[str, float | None]:
        """What both sides share; measured once, however many runs a process trains on this text."""
        return overlap(self.train, self.validation, self.tokenizer)


def load_data(config: Config) -> Data:
    """Read the course's corpus, or `config.text`, and encode it.

    The shipped tokenizer serves the shipped corpus, which is encoded once a process; another text or
    vocabulary size gets a tokenizer of its own, learnt on the training side. A run that starts from another
    run's weights keeps its tokenizer, which alone knows what those weights mean.

    Raises:
        MiniGPTError: the text cannot be read, is too short for the context, or too poor for the vocabulary;
            or the run to start from is not one, or has another vocabulary.
    """
    kept = _tokenizer_of(config.init_from, config.vocab_size) if config.init_from else None
    is_shipped = kept is None or kept.to_json() == shipped_tokenizer().to_json()
    if config.tasks:
        return _tasks(config, kept)
    if config.text is None and config.vocab_size == 512 and SHIPPED.exists() and is_shipped:
        data = _shipped_data()
    else:
        corpus = load_text(config.text) if config.text else load_corpus()
        data = _encoded(corpus, kept or Tokenizer.train(corpus.train, config.vocab_size))
    _refuse_short(data, config)
    return data


def _refuse_short(data: Data | Task, config: Config) -> None:
    for side in ("train", "validation"):
        tokens = len(getattr(data, side))
        if tokens <= config.context:
            raise MiniGPTError(
                "data.text-shorter-than-context", side=side, tokens=tokens, context=config.context
            )


def _tasks(config: Config, kept: Tokenizer | None) -> Data:
    """Read every task of the config, with one tokenizer."""
    corpora = {name: load_task(name) for name in config.task_names()}
    first = next(iter(corpora))
    tokenizer = kept
    if tokenizer is None and first == "conjugations" and config.vocab_size == 512 and SHIPPED.exists():
        tokenizer = shipped_tokenizer()
    tokenizer = tokenizer or Tokenizer.train(corpora[first].train, config.vocab_size)
    encoded = {name: _encoded(corpus, tokenizer) for name, corpus in corpora.items()}
    tasks = tuple(Task(name, data.train, data.validation) for name, data in encoded.items())
    for task in tasks:
        _refuse_short(task, config)
    return Data(
        train=torch.cat([task.train for task in tasks]),
        validation=torch.cat([task.validation for task in tasks]),
        tokenizer=tokenizer,
        name="+".join(corpora),
        hashes={f"{name}/{part}": sha for name, data in encoded.items() for part, sha in data.hashes.items()},
        tasks=tasks,
    )


def _tokenizer_of(run_dir: str, vocab_size: int) -> Tokenizer:
    """Return the tokenizer beside the weights of a run."""
    path = Path(run_dir) / "tokenizer.json"
    if not path.parent.is_dir():
        raise MiniGPTError("run.missing", path=run_dir)
    if not path.is_file():
        raise MiniGPTError("data.no-vocabulary", path=run_dir)
    kept = Tokenizer.load(path)
    if kept.vocab_size != vocab_size:
        raise MiniGPTError("data.other-vocabulary", path=run_dir, there=kept.vocab_size, here=vocab_size)
    return kept


@lru_cache(maxsize=1)
def _shipped_data() -> Data:
    return _encoded(load_corpus(), shipped_tokenizer())


def _encoded(corpus: Corpus, tokenizer: Tokenizer) -> Data:
    sides = {side: torch.tensor(tokenizer.encode(getattr(corpus, side))) for side in ("train", "validation")}
    return Data(tokenizer=tokenizer, name=corpus.name, hashes=corpus.hashes, **sides)
