"""Right and wrong answers to `ngram-overlap`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

COPIED, PIECES, ORDER, BORDERS, SHORT = (
    f"ngram-overlap/{aspect}" for aspect in ("copied", "pieces", "order", "borders", "short")
)

right_overlap, wrong_overlap = partial(Valid, "ngram-overlap"), partial(Mutant, "ngram-overlap")


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
        {PIECES: "edge-missed", SHORT: "overlap-off"},
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
        {
            COPIED: "share-left-over",
            **dict.fromkeys((PIECES, ORDER, BORDERS), "overlap-off"),
            SHORT: "share-left-over",
        },
    ),
    wrong_overlap(
        "each-line-once",
        _overlap(lines="list({tuple(line) for line in validation if len(line) >= n})"),
        {COPIED: "lines-merged"},
    ),
    wrong_overlap(
        "as-texts",
        _overlap(
            grams="[' '.join(map(str, line[at : at + n])) for at in range(len(line) - n + 1)]",
            known="[' '.join(map(str, line)) for line in train]",
            hit="any(gram in text for gram in grams(line) for text in known)",
        ),
        {BORDERS: "digits-compared"},
    ),
    wrong_overlap("short-lines", _overlap(lines="validation"), {SHORT: "short-lines-counted"}),
    wrong_overlap(
        "divides-by-nothing",
        _overlap(give="sum(bool(hit(line)) for line in lines) / len(lines)"),
        {SHORT: "check.raised-at"},
    ),
]
