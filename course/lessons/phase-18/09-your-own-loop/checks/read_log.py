"""Checks of `read_log`: which step was the last good one, and which the first bad one."""

from course.check import Check, given, wrong


def _line(rng, loss=None, norm=None):
    loss = f"{rng.uniform(1, 5):.4f}" if loss is None else loss
    norm = f"{rng.uniform(0.2, 2):.4f}" if norm is None else norm
    epoch = f"{rng.uniform(0, 1):.2f}"
    return f"{{'loss': {loss}, 'grad_norm': {norm}, 'learning_rate': 3e-05, 'epoch': {epoch}}}"


def _draw(rng, every, good, bad, others=0, length=9):
    """Return `length` lines: `others` that are no training record, `good` of them good, then the bad ones."""
    records = [_line(rng) for _ in range(good)] + [_line(rng, *pair) for pair in bad]
    records += [_line(rng, "0.0", "nan" if bad else "0.3") for _ in range(length - others - len(records))]
    noise = [
        "{'eval_loss': nan, 'eval_runtime': 2.1, 'epoch': 0.1}",
        "UserWarning: nan_to_num is deprecated",
        f"{rng.integers(10, 60)}%|####      | [00:10<00:11, 4.01it/s]",
    ]
    for number in range(others):
        records.insert(number + 1, noise[number % 3])
    last = every * (length - others)
    right = (every * good, every * (good + 1)) if bad else (last, 0)
    return {"lines": records, "every": every, "good": right[0], "bad": right[1]}


class _Log(Check):
    answer = "read_log"

    def probe(self, answer, case):
        found = given(answer(case["lines"], case["every"]))
        pair = isinstance(found, tuple | list) and len(found) == 2
        if not pair or not all(isinstance(step, int | None) for step in found):
            return {"pair": False, "good": 0, "bad": 0, "none": False}
        good, bad = found
        return {"pair": good is not None, "good": good or 0, "bad": bad or 0, "none": bad is None}

    def judge(self, case, output):
        if not output["pair"]:
            return wrong("not-a-pair")
        right, every = (case["good"], case["bad"]), case["every"]
        good, bad = output["good"], output["bad"]
        if (good, bad) == right and output["none"] == (right[1] == 0):
            return None
        if output["none"] and right[1]:
            return wrong("nothing-seen", right[1], "None")
        if right[1] == 0 and bad:
            return wrong("false-alarm", "None", bad)
        if right[1] and (good, bad) == (right[0] // every, right[1] // every):
            return wrong("lines-not-steps", right[1], bad)
        if (bad and bad == right[1] - every) or (right[1] == 0 and good == right[0] - every):
            return wrong("from-zero", *((right[1], bad) if right[1] else (right[0], good)))
        if bad > right[1] or (right[1] == 0 and good > right[0]):
            return wrong("too-late", *((right[1], bad) if right[1] else (right[0], good)))
        if bad and bad < right[1]:
            return wrong("too-early", right[1], bad)
        return wrong("good-off", right[0], good)


class Loss(_Log):
    name = "read-log/loss"

    def cases(self, rng):
        yield _draw(rng, 10, 4, [("nan", "0.9")])
        yield _draw(rng, 25, 4, [("nan", "0.9")])
        yield _draw(rng, 25, 6, [("inf", "0.8")])
        yield _draw(rng, 10, 0, [("nan", "nan")])


class Norm(_Log):
    name = "read-log/norm"

    def cases(self, rng):
        yield _draw(rng, 10, 3, [(None, "nan"), ("nan", "nan")])
        yield _draw(rng, 20, 3, [(None, "nan"), ("nan", "nan")])
        yield _draw(rng, 50, 5, [(None, "inf"), ("nan", "nan")])


class Others(_Log):
    name = "read-log/others"

    def cases(self, rng):
        yield _draw(rng, 10, 4, [("nan", "nan")], others=2)
        yield _draw(rng, 25, 4, [("nan", "nan")], others=2)
        yield _draw(rng, 20, 5, [("nan", "nan")], others=3)


class Healthy(_Log):
    name = "read-log/healthy"

    def cases(self, rng):
        yield _draw(rng, 10, 8, [])
        yield _draw(rng, 25, 8, [])
        yield _draw(rng, 20, 6, [], others=2)

    def contrasts(self, rng, cases):
        yield _draw(rng, 10, 3, [("nan", "nan")])
        yield _draw(rng, 20, 2, [("nan", "nan")], others=2)
