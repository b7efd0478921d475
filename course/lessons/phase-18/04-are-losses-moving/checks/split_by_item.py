"""Checks of `split-by-item`: a split that shares no item."""

import random

import numpy as np
import torch

from course.check import Check, wrong


def _items(rng, count, least=1, most=4):
    """The item of every line, in mixed order: `count` items, each with a few lines."""
    names = [f"item-{rng.integers(10**9)}" for _ in range(count)]
    lines = [name for name in names for _ in range(int(rng.integers(least, most + 1)))]
    return [lines[index] for index in rng.permutation(len(lines))]


class Elsewhere(str):
    """A text whose hash is what it might be in another Python process."""

    def __hash__(self):
        return hash(f"elsewhere {self}")


class _Split(Check):
    answer = "split_by_item"

    def probe(self, answer, case):
        sides = []
        # whatever state the random generators are in, and whatever Python process it is
        for noise, kind in ((1, str), (2, str), (1, Elsewhere)):
            random.seed(noise)
            np.random.seed(noise)
            torch.manual_seed(noise)
            train, validation = answer([kind(item) for item in case["items"]], case["share"])
            sides.append([sorted(int(line) for line in side) for side in (train, validation)])
        first, again, elsewhere = (side[1] for side in sides)
        return {"train": sides[0][0], "validation": first, "again": again, "elsewhere": elsewhere}

    def contrasts(self, rng, cases):
        for case in cases:
            yield case | {"items": [case["items"][index] for index in rng.permutation(len(case["items"]))]}

    def cases(self, rng):
        for share in (0.1, 0.25):
            yield {"items": _items(rng, 120), "share": share}


class EveryLine(_Split):
    name = "split-by-item/every-line"

    def judge(self, case, output):
        lines, given = output["train"] + output["validation"], len(case["items"])
        if sorted(lines) == list(range(given)):
            return None
        if len(set(lines)) < len(lines):
            return wrong("line-twice", given, len(lines))
        return wrong("line-lost" if len(lines) < given else "not-line-numbers", given, len(lines))


class Apart(_Split):
    name = "split-by-item/apart"

    def judge(self, case, output):
        items = dict(enumerate(case["items"]))
        shared = {items.get(line) for line in output["train"]} & {
            items.get(line) for line in output["validation"]
        }
        return wrong("item-on-both-sides", 0, len(shared)) if shared else None


class Size(_Split):
    name = "split-by-item/size"

    def cases(self, rng):
        yield {"items": _items(rng, 200), "share": 0.2}
        yield {"items": _items(rng, 200), "share": 0.5}
        yield {"items": _items(rng, 4, least=2), "share": 0.1}

    def judge(self, case, output):
        lines, share = len(case["items"]), case["share"]
        if not output["validation"] or not output["train"]:
            return wrong("empty-side")
        actual = len(output["validation"]) / lines
        if len(set(case["items"])) < 10 or share / 2 <= actual <= 2 * share:
            return None
        return wrong("sides-swapped" if actual > 0.6 > share else "share-off", share, actual)


class Repeatable(_Split):
    name = "split-by-item/repeatable"

    def judge(self, case, output):
        if output["validation"] != output["again"]:
            return wrong("another-split")
        return None if output["validation"] == output["elsewhere"] else wrong("another-process")
