"""Reading text for training: the course's corpus, its files verified, or any UTF-8 file of the user's.

corpus = load_corpus()
corpus = load_text("book.txt")
corpus.train, corpus.validation
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from minigpt.data.corpus.verb_table import Cell, read_cells
from minigpt.messages import MiniGPTError, reason_of

FOLDER = Path(__file__).parent
MANIFEST = "manifest.json"
SIDES = ("train", "validation")
MINIMUM_CHARACTERS = 1000  # below this neither side holds a batch
MINIMUM_LINES = 20  # below this a tenth of the lines is no sample; the text is cut in two instead


@dataclass(frozen=True)
class Corpus:
    """A text in two sides that share no line (a blank line aside)."""

    name: str
    train: str
    validation: str
    hashes: dict[str, str] = field(default_factory=dict)  # SHA-256 by what was hashed


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def load_corpus() -> Corpus:
    """Return the course's corpus of conjugation pairs.

    Raises:
        MiniGPTError: a file is missing, or is not the one in the manifest.
    """
    texts = {side: _verified(f"{side}.txt") for side in SIDES}
    return Corpus(
        "conjugations", **texts, hashes={side: sha256(text.encode()) for side, text in texts.items()}
    )


def table_cells(label: str | None = "correct") -> list[Cell]:
    """Return the 360 cells with this label (correct or mis-conjugated), or all 720 rows for None.

    Raises:
        MiniGPTError: the table is missing, or is not the one in the manifest.
    """
    return [cell for cell in read_cells(_verified("verb_table.tsv")) if label in (None, cell.label)]


@lru_cache(maxsize=1)
def manifest() -> dict:
    """Return the counts and hashes of the course's corpus."""
    return json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))


def _verified(name: str) -> str:
    path = FOLDER / name
    if not path.exists():
        raise MiniGPTError("corpus.file-missing", path=path)
    data = path.read_bytes()
    if sha256(data) != manifest()["sha256"][name]:
        raise MiniGPTError("corpus.hash-mismatch", path=path)
    return data.decode("utf-8")


def load_text(path: str | Path, validation_share: float = 0.1, flag: str = "--text") -> Corpus:
    """Return a UTF-8 file in two sides, about `validation_share` of its characters in the validation one.

    Distinct lines go to a side by their hash, so that equal lines lie on one side; both sides keep the file's
    order, and a blank line stays with the line before it. A text of few distinct lines is cut in two at a
    line or word end instead.

    Args:
        flag: where the path was given, for the sentence that refuses it.

    Raises:
        MiniGPTError: there is no such file, or it is a folder, empty, binary, not UTF-8 or too short.
    """
    path = Path(path)
    data = _read(path, flag)
    text = _decode(data, path, flag)
    if len(text) < MINIMUM_CHARACTERS:
        key = "too-short" if text.strip() else "empty"
        values = {"path": path, "flag": flag, "characters": len(text), "minimum": MINIMUM_CHARACTERS}
        raise MiniGPTError(f"corpus.{key}", **values)
    corpus = split_text(path.name, text, validation_share)
    return replace(corpus, hashes={"file": sha256(data)} | corpus.hashes)


def split_text(name: str, text: str, validation_share: float = 0.1) -> Corpus:
    """Return a text in two sides, as `load_text` does with that of a file."""
    lines = io.StringIO(text).readlines()  # at line feeds alone; splitlines knows eight more
    if len({line.strip() for line in lines} - {""}) < MINIMUM_LINES:
        train, validation = _cut(text, validation_share)
    else:
        train, validation = _split_lines(lines, validation_share)
    hashes = {"train": sha256(train.encode()), "validation": sha256(validation.encode())}
    return Corpus(name, train, validation, hashes)


def _read(path: Path, flag: str) -> bytes:
    if path.is_dir():
        raise MiniGPTError("corpus.is-a-folder", path=path, flag=flag)
    if not path.is_file():
        raise MiniGPTError("corpus.no-such-file", path=path, flag=flag)
    try:
        return path.read_bytes()
    except OSError as error:
        raise MiniGPTError("corpus.unreadable", path=path, reason=reason_of(error)) from error


def _decode(data: bytes, path: Path, flag: str) -> str:
    if not data:
        raise MiniGPTError("corpus.empty", path=path, flag=flag, minimum=MINIMUM_CHARACTERS)
    if b"\0" in data:
        raise MiniGPTError("corpus.binary", path=path, flag=flag, byte=data.index(b"\0"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MiniGPTError("corpus.not-utf8", path=path, byte=error.start) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split_lines(lines: list[str], share: float) -> tuple[str, str]:
    weights: Counter[str] = Counter()
    for line in lines:
        weights[line.strip()] += len(line)
    del weights[""]
    wanted = share * sum(weights.values())
    held_out: set[str] = set()
    for line in sorted(weights, key=lambda line: sha256(line.encode())):
        if weights[line] <= wanted:  # one that would overshoot stays in training; a shorter one may still fit
            held_out.add(line)
            wanted -= weights[line]
    sides: dict[bool, list[str]] = {False: [], True: []}
    side = False
    for line in lines:
        if line.strip():
            side = line.strip() in held_out
        sides[side].append(line)
    return "".join(sides[False]), "".join(sides[True])


def _cut(text: str, share: float) -> tuple[str, str]:
    target = round(len(text) * (1 - share))
    for separator in ("\n", " "):
        end = text.rfind(separator, 0, target) + 1
        if end >= target - share * len(text) / 2:
            return text[:end], text[end:]
    return text[:target], text[target:]
