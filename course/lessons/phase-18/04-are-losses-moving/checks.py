"""Checks of lesson 18-04: a running mean, a slope, a split without overlap, an overlap of n-grams."""

import math
import random

import numpy as np
import torch

from course.check import Check, array, close, number, wrong


def _plain(values):
    return [float(value) for value in values]


class _Smooth(Check):
    answer = "smooth"

    def probe(self, answer, case):
        losses = _plain(case["losses"])
        return {"smooth": array(answer(losses, case["beta"]), shape=(len(losses),))}


class Constant(_Smooth):
    name = "smooth/constant"

    def cases(self, rng):
        for beta in (0.9, 0.99):
            loss = round(float(rng.uniform(2, 6)), 3)
            yield {"losses": [loss] * 40, "beta": beta, "loss": loss}

    def judge(self, case, output):
        actual, loss, beta = output["smooth"], case["loss"], case["beta"]
        if close(actual, np.full(40, loss)):
            return None
        ramp = 1 - beta ** np.arange(1, 41)
        if close(actual, loss * ramp):
            return wrong("starts-at-zero", loss, float(actual[0]))
        if close(actual, loss / ramp):
            return wrong("corrected-for-nothing", loss, float(actual[0]))
        return wrong("constant-moves", loss, float(actual[int(np.abs(actual - loss).argmax())]))


class Jump(_Smooth):
    """Long after the start every way to begin gives the same answer to a jump from one level to another."""

    name = "smooth/jump"

    def cases(self, rng):
        for beta in (0.8, 0.95):
            at = int(30 / (1 - beta))
            losses = [6.0] * at + [2.0] * 20
            yield {"losses": losses, "beta": beta, "at": at}

    def judge(self, case, output):
        beta, actual = case["beta"], output["smooth"][case["at"] :]
        steps = np.arange(1, 21)
        expected = 2 + 4 * beta**steps
        if close(actual, expected, rtol=1e-3):
            return None
        where = (float(expected[0]), float(actual[0]))
        if close(actual, 2 + 4 * (1 - beta) ** steps, rtol=1e-3):
            return wrong("beta-swapped", *where)
        if close(actual, np.full(20, 2.0), rtol=1e-3):
            return wrong("nothing-smoothed", *where)
        if close(float(actual[0]), 6.0, rtol=1e-3):
            return wrong("one-behind", *where)
        return wrong("jump-off", *where)


class Past(_Smooth):
    """The same beginning with two different ends."""

    name = "smooth/past"

    def cases(self, rng):
        yield {"losses": np.round(rng.uniform(2, 6, 60), 3), "beta": 0.9, "end": 40}

    def probe(self, answer, case):
        losses = _plain(case["losses"])
        changed = losses[: case["end"]] + [loss + 5 for loss in losses[case["end"] :]]
        outputs = [array(answer(given, case["beta"]), shape=(60,)) for given in (losses, changed)]
        return {"first": outputs[0][: case["end"]], "second": outputs[1][: case["end"]]}

    def judge(self, case, output):
        return None if close(output["first"], output["second"]) else wrong("sees-the-future")


class _Slope(Check):
    answer = "slope"

    def probe(self, answer, case):
        given = {name: case[name] for name in ("beta", "early", "later")}
        return {"slope": number(answer(_plain(case["losses"]), **given))}


class Line(_Slope):
    name = "slope/line"

    def cases(self, rng):
        for sign, early, later in ((-1, 60, 180), (1, 100, 350)):
            per_step = sign * round(float(rng.uniform(0.002, 0.008)), 5)
            losses = 6.0 + per_step * np.arange(400)
            yield {"losses": losses, "beta": 0.8, "early": early, "later": later, "per_step": per_step}

    def judge(self, case, output):
        actual, expected = output["slope"], 100 * case["per_step"]
        if close(actual, expected, rtol=0.02):
            return None
        span = case["later"] - case["early"]
        slips = {
            "wrong-sign": -expected,
            "per-step": case["per_step"],
            "not-per-100": case["per_step"] * span,
            "divides-by-later": expected * span / case["later"],
        }
        key = next((key for key, slip in slips.items() if close(actual, slip, rtol=0.02)), "slope-off")
        return wrong(key, expected, actual)


class Noise(_Slope):
    """A flat curve; the single losses at both ends of the stretch happen to be far off."""

    name = "slope/noise"

    def cases(self, rng):
        losses = np.round(4 + rng.uniform(-0.02, 0.02, 240), 4)
        losses[60], losses[200] = 5.0, 3.0
        yield {"losses": losses, "beta": 0.98, "early": 60, "later": 200}

    def judge(self, case, output):
        if abs(output["slope"]) < 0.2:
            return None
        return wrong("slope-of-noise", 0.0, output["slope"])


class TooShort(_Slope):
    name = "slope/short"
    allow_nonfinite = True

    def cases(self, rng):
        yield {"losses": [4.0 - 0.01 * step for step in range(150)], "beta": 0.9, "early": 50, "later": 200}

    def judge(self, case, output):
        return None if math.isnan(output["slope"]) else wrong("short-is-unknown", math.nan, output["slope"])


def _items(rng, count, least=1, most=4):
    """The item of every line, in mixed order: `count` items, each with a few lines."""
    names = [f"item-{rng.integers(10**9)}" for _ in range(count)]
    lines = [name for name in names for _ in range(int(rng.integers(least, most + 1)))]
    return [lines[index] for index in rng.permutation(len(lines))]


class _Split(Check):
    answer = "split_by_item"

    def probe(self, answer, case):
        sides = []
        for noise in (1, 2):  # whatever state the random generators are in
            random.seed(noise)
            np.random.seed(noise)
            torch.manual_seed(noise)
            train, validation = answer(list(case["items"]), case["share"])
            sides.append([sorted(int(line) for line in side) for side in (train, validation)])
        return {"train": sides[0][0], "validation": sides[0][1], "again": sides[1][1]}

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
        yield {"items": _items(rng, 4, least=2), "share": 0.1}

    def judge(self, case, output):
        lines, share = len(case["items"]), case["share"]
        if not output["validation"] or not output["train"]:
            return wrong("empty-side")
        actual = len(output["validation"]) / lines
        if len(set(case["items"])) < 10 or share / 2 <= actual <= 2 * share:
            return None
        return wrong("sides-swapped" if actual > 0.6 else "share-off", share, actual)


class Repeatable(_Split):
    name = "split-by-item/repeatable"

    def judge(self, case, output):
        return None if output["validation"] == output["again"] else wrong("another-split")


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
