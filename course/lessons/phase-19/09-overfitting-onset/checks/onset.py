"""Checks of `onset`: the first evaluation at which validation has passed its minimum, by three errors."""

import math

import numpy as np

from course.check import Check, number, wrong

ITEMS = 40


def _evaluations(rng, changes, spread=2.0, items=ITEMS):
    """Losses (evaluations, items) whose change from the lowest so far is so many standard errors.

    `changes` are pairs (mean change from the lowest row so far, in nats; that change ÷ its standard error).
    A number below 0 for the mean is a new lowest row.
    """
    rows = [3.0 + spread * np.abs(rng.normal(0, 1, items))]
    best = rows[0]
    for mean, ratio in changes:
        noise = rng.normal(0, 1, items)
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        error = abs(mean) / ratio if ratio else 0.0
        row = best + mean + noise * error * math.sqrt(items)
        rows.append(row)
        if mean < 0:
            best = row
    return np.array(rows)


def _case(rng, changes, training=None, errors=None, **more):
    validation = _evaluations(rng, changes, **more)
    fall = np.linspace(3.0, 1.0, len(validation)) if training is None else np.array(training)
    return {"validation": validation, "training": fall, "errors": errors}


FALL = (-0.3, 9.0)  # nats, and how many standard errors that is


def _right(case):
    """The index of the onset by hand, or None."""
    training, validation, best = case["training"], case["validation"], 0
    for now in range(1, len(validation)):
        change = validation[now] - validation[best]
        if change.mean() < 0:
            best = now
        elif change.mean() > (case["errors"] or 3) * change.std(ddof=1) / math.sqrt(len(change)) and (
            training[now] < training[best]
        ):
            return now
    return None


def _variant(case, ddof=1, factor=3.0, paired=True, from_start=False, whole=False):
    """The index that a detector with one slip would name."""
    training, validation = case["training"], case["validation"]
    best = int(validation.mean(1).argmin()) if whole else 0
    for now in range(1, len(validation)):
        if whole and now <= best:
            continue
        change = validation[now] - validation[best]
        error = change.std(ddof=ddof) / math.sqrt(len(change))
        if not paired:
            both = validation[now].var(ddof=1) + validation[best].var(ddof=1)
            error = math.sqrt(both / len(change))
        if change.mean() < 0:
            best = best if from_start else now
        elif change.mean() > factor * error and training[now] < training[best]:
            return now
    return None


class _Onset(Check):
    answer = "onset"

    def probe(self, answer, case):
        settings = {} if case["errors"] is None else {"errors": case["errors"]}
        found = answer(case["training"], case["validation"], **settings)
        return {"at": None if found is None else int(number(found))}

    def judge(self, case, output):
        right, at = _right(case), output["at"]
        if at == right:
            return None
        if at is not None and at < 0:
            return wrong("none-is-none", str(right), str(at))
        if case["errors"]:
            return wrong("errors-ignored", str(right), str(at), errors=case["errors"])
        return wrong(self._slip(case, right, at), str(right), str(at))

    def _slip(self, case, right, at):
        raise NotImplementedError


class Finds(_Onset):
    name = "onset/finds"

    def cases(self, rng):
        yield _case(rng, [FALL, FALL, FALL, (0.2, 8.0), (0.4, 9.0)])
        yield _case(rng, [FALL, (0.3, 9.0), (0.4, 9.0), (0.5, 9.0), (0.6, 9.0)])
        yield _case(rng, [(0.2, 9.0), (0.3, 9.0), (0.4, 9.0), (0.5, 9.0), (0.6, 9.0)])
        yield _case(rng, [FALL, FALL, FALL, FALL, FALL])

    def _slip(self, case, right, at):
        if at is None:
            return "alarm-missed"
        if right is None:
            return "alarm-while-falling"
        lowest = int(case["validation"].mean(1).argmin())
        return "names-the-minimum" if at == lowest else "alarm-late" if at > right else "alarm-early"


class Noise(_Onset):
    name = "onset/noise"

    def cases(self, rng):
        yield _case(rng, [FALL, FALL, (0.05, 1.0), (0.1, 2.0), (0.12, 2.4)])
        yield _case(rng, [FALL, (0.06, 2.2), (0.12, 4.5), (1.5, 12.0), (1.6, 12.0)])
        few = {"items": 6, "spread": 0.6}
        yield _case(rng, [FALL, FALL, (0.06, 2.2), (0.1, 2.9), (0.1, 2.9)], **few)
        yield _case(rng, [FALL, FALL, (0.06, 2.2), (0.1, 2.5), (0.1, 3.1)], **few)
        for errors in (2.0, 6.0):
            yield _case(rng, [FALL, (0.06, 1.8), (0.1, 2.4), (0.3, 5.5), (0.4, 8.0)], errors=errors)

    def _slip(self, case, right, at):
        if at is None:
            return "alarm-missed"
        if at == _variant(case, paired=False):
            return "not-paired"
        if at == _variant(case, factor=0.0):
            return "no-error"
        if at == _variant(case, ddof=0):
            return "population-error"
        return "alarm-early" if right is None or at < right else "alarm-late"


class Training(_Onset):
    name = "onset/training"

    def cases(self, rng):
        changes = [FALL, FALL, (0.2, 8.0), (0.4, 9.0), (0.6, 9.0)]
        yield _case(rng, changes, [3.0, 2.0, 1.5, 3.2, 3.4, 3.6])  # diverging
        yield _case(rng, changes, [3.0, 2.0, 1.5, 1.7, 2.2, 3.0])
        yield _case(rng, changes, [3.0, 2.0, 1.5, 1.5, 1.5, 1.5])  # frozen
        yield _case(rng, changes, [3.0, 2.0, 1.5, 1.6, 1.4, 1.3])
        changes = [FALL, FALL, (0.03, 1.0), (0.2, 8.0), (0.4, 9.0)]
        yield _case(rng, changes, [3.0, 2.0, 1.5, 1.2, 1.3, 1.4])  # below that of the lowest, and rising

    def _slip(self, case, right, at):
        if case["training"][3] == 1.2:
            return "training-of-the-last" if at is None else "alarm-early"
        if at is None:
            return "alarm-missed"
        if at == 3:
            above_start = case["training"][3] > case["training"][0]
            return "training-ignored" if above_start else "training-from-start"
        return "alarm-early" if right is None or at < right else "alarm-late"


class Past(_Onset):
    name = "onset/past"

    def cases(self, rng):
        yield _case(rng, [(-0.1, 9.0), (0.12, 9.0), (0.5, 9.0), FALL, (0.2, 9.0)])
        yield _case(rng, [FALL, FALL, (0.1, 2.0), FALL, (0.2, 9.0)])
        flat = _case(rng, [FALL, FALL, FALL, FALL, FALL])
        flat["validation"][3:] = flat["validation"][2]  # the very same losses again and again
        yield flat

    def _slip(self, case, right, at):
        if right is None:
            return "equal-is-no-rise"
        if at is None:
            return "alarm-missed"
        for slip, key in (("whole", "looks-ahead"), ("from_start", "against-the-first")):
            if at == _variant(case, **{slip: True}):
                return key
        return "alarm-early" if at < right else "alarm-late"
