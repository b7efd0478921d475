"""Right and wrong answers to `split-by-item`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

LINES, APART, SIZE, REPEATABLE = (
    f"split-by-item/{aspect}" for aspect in ("every-line", "apart", "size", "repeatable")
)

right_split, wrong_split = partial(Valid, "split-by-item"), partial(Mutant, "split-by-item")


def _split(chosen, give="train, validation", order="random.Random(0).shuffle(names)", held="item in held"):
    """A splitter that holds back the first `chosen` of the shuffled items."""
    return f"""
def split_by_item(items, share):
    names = sorted(set(items))
    {order}
    held = set(names[:{chosen}])
    validation = [line for line, item in enumerate(items) if {held}]
    train = [line for line, item in enumerate(items) if not ({held})]
    return {give}
"""


SOME = "max(1, round(share * len(names)))"

ANSWERS = [
    right_split("shuffled-items", _split(SOME)),
    right_split(
        "hash",
        """
import hashlib
def split_by_item(items, share):
    ranked = sorted(set(items), key=lambda item: hashlib.sha256(item.encode()).digest())
    held = set(ranked[: math.ceil(share * len(ranked))])
    sides = [], []
    for line, item in enumerate(items):
        sides[item in held].append(line)
    return sides
""",
    ),
    right_split(
        "fills-up-by-lines",
        """
def split_by_item(items, share):
    generator = torch.Generator().manual_seed(1)
    names = sorted(set(items))
    held, count = set(), 0
    for index in torch.randperm(len(names), generator=generator).tolist():
        if count and count >= share * len(items):
            break
        held.add(names[index])
        count += items.count(names[index])
    validation = {line for line, item in enumerate(items) if item in held}
    return set(range(len(items))) - validation, validation
""",
    ),
    wrong_split(
        "by-line",
        "def split_by_item(items, share):\n    lines = list(range(len(items)))\n"
        "    random.Random(0).shuffle(lines)\n    size = max(1, round(share * len(lines)))\n"
        "    return lines[size:], lines[:size]",
        {**dict.fromkeys((LINES, SIZE, REPEATABLE), "check.same-for-all"), APART: "item-on-both-sides"},
    ),
    wrong_split(
        "last-lines",
        "def split_by_item(items, share):\n    size = max(1, round(share * len(items)))\n"
        "    lines = list(range(len(items)))\n    return lines[:-size], lines[-size:]",
        {**dict.fromkeys((LINES, SIZE, REPEATABLE), "check.same-for-all"), APART: "item-on-both-sides"},
    ),
    wrong_split(
        "one-line-an-item",
        _split(SOME, give="[items.index(i) for i in names if i not in held], validation"),
        {LINES: "line-lost"},
    ),
    wrong_split(
        "all-in-training",
        _split(SOME, give="train + validation, validation"),
        {LINES: "line-twice", APART: "item-on-both-sides"},
    ),
    wrong_split(
        "counted-from-one",
        _split(SOME, give="[line + 1 for line in train], [line + 1 for line in validation]"),
        {LINES: "not-line-numbers", APART: "item-on-both-sides"},
    ),
    wrong_split("swapped", _split(SOME, give="validation, train"), {SIZE: "sides-swapped"}),
    wrong_split("rounds-to-nothing", _split("int(share * len(names))"), {SIZE: "empty-side"}),
    wrong_split("half", _split("len(names) // 2"), {SIZE: "share-off"}),
    wrong_split(
        "a-set-as-it-comes",
        _split(SOME).replace("sorted(set(items))", "list(set(items))"),
        {REPEATABLE: "another-process"},
    ),
    wrong_split(
        "by-python-hash",
        _split(SOME, order="names.sort(key=hash)"),
        {REPEATABLE: "another-process"},
    ),
    wrong_split("a-fifth", _split("max(1, round(0.2 * len(names)))"), {SIZE: "share-off"}),
    wrong_split("unseeded", _split(SOME, order="random.shuffle(names)"), {REPEATABLE: "another-split"}),
]
