"""Write the corpus: `python -m minigpt.data.corpus.build` (`--check` compares and writes nothing).

    train.txt, validation.txt   one pair a line, in the order of the lines' hashes
    verb_table.tsv              the 360 cells of the verb table, correct and mis-conjugated
    tokenizer.json              512-token byte-level BPE learnt on train.txt
    manifest.json               counts, and the SHA-256 of each file

Nothing is random: which of an item's correct pairs are taken, the side an item lies on and the order of lines
all come from hashes of the text itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from itertools import zip_longest
from pathlib import Path

from minigpt.data.corpus import verb_table
from minigpt.data.corpus.grammar import Item, Pair, digest, items, pairs
from minigpt.data.corpus.lexicon import verbs
from minigpt.data.corpus.loading import FOLDER, MANIFEST, SIDES, sha256
from minigpt.data.tokenizer import Tokenizer
from minigpt.messages import message

VOCAB_SIZE = 512
LINES_PER_TABLE_ITEM = 2  # besides its cell of the verb table
OTHER_ITEMS_ONE_IN = 2  # of the other verbs' items, so that the text stays under a megabyte


def chosen(item: Item) -> list[Pair]:
    """Return the pairs of an item that the corpus takes, the bare ones of the verb table first.

    The rest alternate between those with and without a complement and a time expression, so that the few
    lines of an item differ in shape.
    """
    in_table = verbs()[item.verb].in_table
    if not in_table and digest(f"taken|{item}") % OTHER_ITEMS_ONE_IN:
        return []
    available = pairs(item)
    bare = [pair for pair in available if not pair.has_complement and not pair.has_time]
    always = bare if in_table and item.form == "affirmative" else []
    shapes: dict[tuple[bool, bool], list[Pair]] = {}
    for pair in sorted(available, key=lambda pair: digest(str(pair))):
        if pair not in always:
            shapes.setdefault((pair.has_complement, pair.has_time), []).append(pair)
    order = sorted(shapes, key=lambda shape: digest(f"{shape}|{item}"))
    ranked = [pair for round_ in zip_longest(*(shapes[shape] for shape in order)) for pair in round_ if pair]
    return always + ranked[: LINES_PER_TABLE_ITEM if in_table else 1]


def make_texts() -> tuple[dict[str, str], Counter]:
    """Return the text of each side, and how many items each side has."""
    lines: dict[str, list[str]] = {side: [] for side in SIDES}
    counts: Counter = Counter()
    for item in items():
        taken = [str(pair) for pair in chosen(item)]
        lines[item.side] += taken
        counts[item.side] += bool(taken)
    texts = {side: "".join(f"{line}\n" for line in sorted(lines[side], key=digest)) for side in SIDES}
    return texts, counts


def write(folder: Path) -> None:
    """Write every file of the corpus into `folder`."""
    texts, item_counts = make_texts()
    cells = verb_table.make_cells()
    for side, text in texts.items():
        (folder / f"{side}.txt").write_text(text, encoding="utf-8", newline="\n")
    (folder / "verb_table.tsv").write_text(verb_table.to_tsv(cells), encoding="utf-8", newline="\n")
    tokenizer = Tokenizer.train(texts["train"], VOCAB_SIZE)
    tokenizer.save(folder / "tokenizer.json")
    manifest = {
        "verbs": len(verbs()),
        "table_cells": len(cells) // 2,
        "sides": {
            side: {
                "items": item_counts[side],
                "lines": text.count("\n"),
                "characters": len(text),
                "tokens": len(tokenizer.encode(text)),
            }
            for side, text in texts.items()
        },
        "sha256": {name: sha256((folder / name).read_bytes()) for name in WRITTEN if name != MANIFEST},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8", newline="\n")


WRITTEN = ("train.txt", "validation.txt", "verb_table.tsv", "tokenizer.json", MANIFEST)


def differing(folder: Path = FOLDER) -> list[str]:
    """Return the names of the files in `folder` that are not what `write` makes."""
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch))
        return [
            name
            for name in WRITTEN
            if not (folder / name).exists()
            or (folder / name).read_bytes() != (Path(scratch) / name).read_bytes()
        ]


def main(argv: list[str] | None = None) -> int:
    """Build, or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m minigpt.data.corpus.build")
    parser.add_argument("--check", action="store_true", help=message("corpus.check-help"))
    if parser.parse_args(argv).check:
        names = differing()
        if names:
            print(message("corpus.stale", names=", ".join(names)))
        return 1 if names else 0
    write(FOLDER)
    print((FOLDER / MANIFEST).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
