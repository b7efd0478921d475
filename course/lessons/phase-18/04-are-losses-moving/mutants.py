"""Right and wrong answers to lesson 18-04; each wrong one names the checks it fails and what it is told."""

from functools import partial

from course.mutants import Mutant, Valid

CONSTANT, JUMP, PAST = (f"smooth/{aspect}" for aspect in ("constant", "jump", "past"))
LINE, NOISE, TOO_SHORT = (f"slope/{aspect}" for aspect in ("line", "noise", "short"))
LINES, APART, SIZE, REPEATABLE = (
    f"split-by-item/{aspect}" for aspect in ("every-line", "apart", "size", "repeatable")
)
COPIED, PIECES, ORDER, BORDERS, SHORT = (
    f"ngram-overlap/{aspect}" for aspect in ("copied", "pieces", "order", "borders", "short")
)
right_smooth, wrong_smooth = partial(Valid, "smooth"), partial(Mutant, "smooth")
right_slope, wrong_slope = partial(Valid, "slope"), partial(Mutant, "slope")
right_split, wrong_split = partial(Valid, "split-by-item"), partial(Mutant, "split-by-item")
right_overlap, wrong_overlap = partial(Valid, "ngram-overlap"), partial(Mutant, "ngram-overlap")


def _smooth(update="beta * mean + (1 - beta) * loss", start="losses[0]", kept="mean"):
    return f"""
def smooth(losses, beta):
    mean, means = {start}, []
    for step, loss in enumerate(losses):
        mean = {update}
        means.append({kept})
    return means
"""


def _slope(expression, smoothed="smooth(losses, beta)", guard=True):
    check = "    if len(losses) <= later:\n        return math.nan\n" if guard else ""
    return (
        "def slope(losses, beta=0.98, early=50, later=200):\n"
        f"{check}    means = {smoothed}\n    return {expression}"
    )


PER_100 = "(means[later] - means[early]) / (later - early) * 100"


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


def _overlap(**changes):
    """A detector whose parts can be exchanged."""
    parts = {
        "grams": "{tuple(line[at : at + n]) for at in range(len(line) - n + 1)}",
        "known": "set().union(*map(grams, train))",
        "lines": "[line for line in validation if len(line) >= n]",
        "hit": "grams(line) & known",
        "give": "sum(bool(hit(line)) for line in lines) / len(lines) if lines else 0.0",
    } | changes
    return (
        "def ngram_overlap(train, validation, n):\n"
        f"    grams = lambda line: {parts['grams']}\n    known = {parts['known']}\n"
        f"    lines = {parts['lines']}\n    hit = lambda line: {parts['hit']}\n    return {parts['give']}"
    )


ANSWERS = [
    # 1a
    right_smooth("from-the-first", _smooth()),
    right_smooth("difference", _smooth("mean + (1 - beta) * (loss - mean)")),
    right_smooth("bias-corrected", _smooth(start="0.0", kept="mean / (1 - beta ** (step + 1))")),
    right_smooth(
        "accumulate",
        "import itertools\ndef smooth(losses, beta):\n"
        "    return list(itertools.accumulate(losses, lambda m, x: beta * m + (1 - beta) * x))",
    ),
    right_smooth(
        "weighted-sum",
        """
def smooth(losses, beta):
    means = []
    for end in range(1, len(losses) + 1):
        weights = beta ** np.arange(end)[::-1]
        means.append((weights * np.array(losses[:end])).sum() / weights.sum())
    return np.array(means)
""",
    ),
    wrong_smooth("from-zero", _smooth(start="0.0"), {CONSTANT: "starts-at-zero"}),
    wrong_smooth(
        "corrected-for-nothing",
        _smooth(kept="mean / (1 - beta ** (step + 1))"),
        {CONSTANT: "corrected-for-nothing"},
    ),
    wrong_smooth("swapped", _smooth("(1 - beta) * mean + beta * loss"), {JUMP: "beta-swapped"}),
    wrong_smooth(
        "copy",
        "def smooth(losses, beta):\n    return list(losses)",
        {JUMP: "nothing-smoothed"},
    ),
    wrong_smooth(
        "one-behind",
        "def smooth(losses, beta):\n    mean, means = losses[0], []\n    for loss in losses:\n"
        "        means.append(mean)\n        mean = beta * mean + (1 - beta) * loss\n    return means",
        {JUMP: "one-behind"},
    ),
    wrong_smooth(
        "mean-of-all",
        "def smooth(losses, beta):\n"
        "    return [float(np.mean(losses[: step + 1])) for step in range(len(losses))]",
        {JUMP: "jump-off"},
    ),
    wrong_smooth(
        "window-in-the-middle",
        "def smooth(losses, beta):\n    return [float(np.mean(losses[max(0, step - 5) : step + 6]))"
        " for step in range(len(losses))]",
        {JUMP: "jump-off", PAST: "sees-the-future"},
    ),
    wrong_smooth("adds-up", _smooth("beta * mean + loss"), {CONSTANT: "constant-moves", JUMP: "jump-off"}),
    # 1b
    right_slope("by-hand", _slope(PER_100)),
    right_slope(
        "own-mean",
        """
def slope(losses, beta=0.98, early=50, later=200):
    weight, mean, at = 0.0, 0.0, {}
    for step, loss in enumerate(losses):
        weight = beta * weight + (1 - beta)
        mean = beta * mean + (1 - beta) * loss
        at[step] = mean / weight
    return (at[later] - at[early]) * 100 / (later - early) if later in at else float("nan")
""",
    ),
    right_slope(
        "numpy",
        "def slope(losses, beta=0.98, early=50, later=200):\n    if later >= len(losses):\n"
        "        return float('nan')\n    means = np.array(smooth(losses, beta))\n"
        "    return np.polyfit([early, later], means[[early, later]], 1)[0] * 100",
    ),
    wrong_slope(
        "fall-is-positive",
        _slope(PER_100.replace("[later] - means[early]", "[early] - means[later]")),
        {LINE: "wrong-sign"},
    ),
    wrong_slope("per-step", _slope(PER_100.removesuffix(" * 100")), {LINE: "per-step"}),
    wrong_slope("difference", _slope("means[later] - means[early]"), {LINE: "not-per-100"}),
    wrong_slope(
        "over-later", _slope(PER_100.replace("(later - early)", "later")), {LINE: "divides-by-later"}
    ),
    wrong_slope("raw", _slope(PER_100, "losses"), {NOISE: "slope-of-noise"}),
    wrong_slope("no-guard", _slope(PER_100, guard=False), {TOO_SHORT: "check.raised-at"}),
    wrong_slope(
        "last-instead",
        _slope("(means[min(later, len(means) - 1)] - means[early]) / (later - early) * 100", guard=False),
        {TOO_SHORT: "short-is-unknown"},
    ),
    wrong_slope("per-1000", _slope(f"10 * {PER_100}"), {LINE: "slope-off", NOISE: "slope-of-noise"}),
    # 2
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
        {APART: "item-on-both-sides"},
    ),
    wrong_split(
        "last-lines",
        "def split_by_item(items, share):\n    size = max(1, round(share * len(items)))\n"
        "    lines = list(range(len(items)))\n    return lines[:-size], lines[-size:]",
        {APART: "item-on-both-sides"},
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
    wrong_split("unseeded", _split(SOME, order="random.shuffle(names)"), {REPEATABLE: "another-split"}),
    # 3
    right_overlap("sets", _overlap()),
    right_overlap(
        "loops",
        """
def ngram_overlap(train, validation, n):
    known = {tuple(gram) for line in train for gram in zip(*(line[k:] for k in range(n)))}
    found = long_enough = 0
    for line in validation:
        if len(line) < n:
            continue
        long_enough += 1
        found += any(tuple(line[at : at + n]) in known for at in range(len(line) - n + 1))
    return found / max(long_enough, 1)
""",
    ),
    wrong_overlap(
        "whole-lines",
        _overlap(known="{tuple(line) for line in train}", hit="tuple(line) in known"),
        {PIECES: "edge-missed"},
    ),
    wrong_overlap(
        "last-missed",
        _overlap(grams="{tuple(line[at : at + n]) for at in range(len(line) - n)}"),
        {PIECES: "edge-missed"},
    ),
    wrong_overlap(
        "first-only",
        _overlap(hit="tuple(line[:n]) in known or tuple(line[-n:]) in known"),
        {PIECES: "piece-missed"},
    ),
    wrong_overlap(
        "bags",
        _overlap(grams="{tuple(sorted(line[at : at + n])) for at in range(len(line) - n + 1)}"),
        {ORDER: "order-ignored"},
    ),
    wrong_overlap(
        "one-short",
        _overlap(grams="{tuple(line[at : at + n - 1]) for at in range(len(line) - n + 2)}"),
        {ORDER: "too-few-tokens"},
    ),
    wrong_overlap("one-long-text", _overlap(known="grams(sum(train, []))"), {BORDERS: "across-lines"}),
    wrong_overlap(
        "of-training",
        _overlap(
            lines="[line for line in train if len(line) >= n]", known="set().union(*map(grams, validation))"
        ),
        {COPIED: "wrong-side", PIECES: "overlap-off", SHORT: "overlap-off"},
    ),
    wrong_overlap(
        "count",
        _overlap(give="sum(bool(hit(line)) for line in lines)"),
        {COPIED: "counts-not-share", PIECES: "overlap-off", SHORT: "overlap-off"},
    ),
    wrong_overlap(
        "share-of-ngrams",
        _overlap(give="sum(len(hit(line)) for line in lines) / max(1, sum(len(grams(x)) for x in lines))"),
        {PIECES: "counts-ngrams"},
    ),
    wrong_overlap(
        "clean-share",
        _overlap(give="sum(not hit(line) for line in lines) / len(lines) if lines else 0.0"),
        {COPIED: "share-left-over", PIECES: "overlap-off", ORDER: "overlap-off", BORDERS: "overlap-off"},
    ),
    wrong_overlap("short-lines", _overlap(lines="validation"), {SHORT: "short-lines-counted"}),
    wrong_overlap(
        "divides-by-nothing",
        _overlap(give="sum(bool(hit(line)) for line in lines) / len(lines)"),
        {SHORT: "check.raised-at"},
    ),
]
