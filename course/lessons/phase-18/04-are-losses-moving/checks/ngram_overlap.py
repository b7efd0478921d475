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
    """Some of the eight validation lines are training lines; training has twenty."""

    name = "ngram-overlap/copied"

    def cases(self, rng):
        for copied in rng.permutation([1, 2, 3, 5, 6])[:3].tolist():
            train, own = _lines(rng, 20, 9), _lines(rng, 8 - copied, 9, first=50_000)
            share = copied / 8
            slips = {"wrong-side": copied / 20, "counts-not-share": float(copied)}
            slips["share-left-over"] = 1 - share
            lines = train[3 : 3 + copied] + own
            yield {"train": train, "validation": lines, "n": 4, "expected": share, "slips": slips}
        twice = [train[3], train[3], train[3], *own[:1]]
        yield {"train": train, "validation": twice, "n": 4, "expected": 0.75, "slips": {"lines-merged": 0.5}}


class Pieces(_Overlap):
    """Lines that hold a piece of a training line: at its beginning, in its middle, at its end."""

    name = "ngram-overlap/pieces"

    def cases(self, rng):
        for start, known in zip((0, 2, 5), rng.permutation([1, 2, 3]).tolist(), strict=True):
            train, own = _lines(rng, 6, 10), _lines(rng, 4, 10, first=50_000)
            for line in range(known):
                piece = train[2 + line][start : start + 5]
                own[line] = own[line][: 5 - start] + piece + own[line][10 - start :]
            end = "edge-missed" if start != 2 else "piece-missed"
            ngrams = known / sum(len(line) - 4 for line in own)
            slips = {end: 0.0, "counts-ngrams": ngrams}
            case = {"train": train, "validation": own, "n": 5, "expected": known / 4}
            yield case | {"slips": slips}


class Order(_Overlap):
    """The words of a training line in another order, and two pieces that are one token too short."""

    name = "ngram-overlap/order"

    def cases(self, rng):
        train, own = _lines(rng, 6, 8), _lines(rng, 4, 8, first=50_000)
        own[1] = train[1][::-1]
        own[2][:3], own[3][-3:] = train[4][2:5], train[5][-3:]
        slips = {"order-ignored": 0.25, "too-few-tokens": 0.5}
        yield {"train": train, "validation": own, "n": 4, "expected": 0.0, "slips": slips}

    def contrasts(self, rng, cases):
        yield _with_a_copy(cases[0])


class Borders(_Overlap):
    """A validation line that is the end of one training line and the beginning of the next."""

    name = "ngram-overlap/borders"

    def cases(self, rng):
        train, own = _lines(rng, 6, 8), _lines(rng, 4, 8, first=50_000)
        own[0][:4] = train[1][-2:] + train[2][:2]
        slips = {"across-lines": 0.25}
        yield {"train": train, "validation": own, "n": 4, "expected": 0.0, "slips": slips}
        first, last = (int(token) for token in rng.integers(2_000, 9_000, 2))
        train[1][2:6] = [int(f"1{first}"), 90_001, 90_002, int(f"{last}1")]
        own = [[first, 90_001, 90_002, last, 50_000], *own[1:]]
        yield {"train": train, "validation": own, "n": 4, "expected": 0.0, "slips": {"digits-compared": 0.25}}

    def contrasts(self, rng, cases):
        yield _with_a_copy(cases[0])


class Short(_Overlap):
    """Lines shorter than n say nothing; where all are, there is nothing to share."""

    name = "ngram-overlap/short"

    def cases(self, rng):
        for known in rng.permutation([1, 2]).tolist():
            train, own = _lines(rng, 7, 8), _lines(rng, 3 - known, 8, first=70_000)
            validation = [*train[:known], *own, *_lines(rng, 2, 3, first=50_000)]
            slips = {"short-lines-counted": known / 5, "share-left-over": 1 - known / 3}
            case = {"train": train, "validation": validation, "n": 5, "expected": known / 3}
            yield case | {"slips": slips}
        yield {"train": train, "validation": [[1, 2], [3]], "n": 5, "expected": 0.0}
        train = [*_lines(rng, 3, 8), *_lines(rng, 1, 5, first=90_000)]
        yield {"train": train, "validation": [train[-1], [1, 2], [3]], "n": 5, "expected": 1.0}


def _with_a_copy(case):
    """The case, its last validation line a training line."""
    return case | {"validation": [*case["validation"][:-1], case["train"][0]]}
