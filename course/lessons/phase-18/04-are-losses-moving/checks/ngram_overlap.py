"""Checks of `ngram-overlap`: how much of one split stands in the other."""

from course.check import Check, close, number, wrong


def _lines(rng, count, length, first=0):
    """Lines of tokens that occur nowhere else: line k uses the numbers from first + 100·k."""
    return [[first + 100 * line + int(x) for x in rng.permutation(length)] for line in range(count)]


class _Overlap(Check):
    answer = "ngram_overlap"

    def probe(self, answer, case):
        lines = [[list(line) for line in case[side]] for side in ("train", "validation")]
        return {"share": number(answer(*lines, case["n"]))}

    def judge(self, case, output):
        if close(output["share"], case["expected"]):
            return None
        return wrong(self._slip(case, output["share"]), case["expected"], output["share"])

    def _slip(self, case, actual):
        slips = case.get("slips", {})
        return next((key for key, slip in slips.items() if close(actual, slip)), "overlap-off")


class Copied(_Overlap):
    """Two of the eight validation lines are training lines; training has twenty."""

    name = "ngram-overlap/copied"

    def cases(self, rng):
        train, own = _lines(rng, 20, 9), _lines(rng, 6, 9, first=50_000)
        slips = {"wrong-side": 2 / 20, "counts-not-share": 2.0, "share-left-over": 0.75}
        yield {"train": train, "validation": train[3:5] + own, "n": 4, "expected": 0.25, "slips": slips}


class Pieces(_Overlap):
    """Lines that hold a piece of a training line: at its beginning, in its middle, at its end."""

    name = "ngram-overlap/pieces"

    def cases(self, rng):
        for start in (0, 2, 5):
            train, own = _lines(rng, 6, 10), _lines(rng, 4, 10, first=50_000)
            own[0] = own[0][: 5 - start] + train[2][start : start + 5] + own[0][10 - start :]
            end = "edge-missed" if start != 2 else "piece-missed"
            ngrams = 1 / sum(len(line) - 4 for line in own)
            slips = {end: 0.0, "counts-ngrams": ngrams}
            yield {"train": train, "validation": own, "n": 5, "expected": 0.25, "slips": slips}


class Order(_Overlap):
    """The words of a training line in another order, and two pieces that are one token too short."""

    name = "ngram-overlap/order"

    def cases(self, rng):
        train, own = _lines(rng, 6, 8), _lines(rng, 4, 8, first=50_000)
        own[1] = train[1][::-1]
        own[2][:3], own[3][-3:] = train[4][2:5], train[5][:3]
        slips = {"order-ignored": 0.25, "too-few-tokens": 0.5}
        yield {"train": train, "validation": own, "n": 4, "expected": 0.0, "slips": slips}


class Borders(_Overlap):
    """A validation line that is the end of one training line and the beginning of the next."""

    name = "ngram-overlap/borders"

    def cases(self, rng):
        train, own = _lines(rng, 6, 8), _lines(rng, 4, 8, first=50_000)
        own[0][:4] = train[1][-2:] + train[2][:2]
        slips = {"across-lines": 0.25}
        yield {"train": train, "validation": own, "n": 4, "expected": 0.0, "slips": slips}


class Short(_Overlap):
    """Lines shorter than n say nothing; where all are, there is nothing to share."""

    name = "ngram-overlap/short"

    def cases(self, rng):
        train = _lines(rng, 5, 8)
        validation = [train[0], *_lines(rng, 2, 3, first=50_000), *_lines(rng, 1, 8, first=70_000)]
        slips = {"short-lines-counted": 0.25}
        yield {"train": train, "validation": validation, "n": 5, "expected": 0.5, "slips": slips}
        yield {"train": train, "validation": [[1, 2], [3]], "n": 5, "expected": 0.0}
