"""Checks of `warmup-share`: how much of its warm-up a scheduler has done."""

from course.check import Check, close, number, wrong


def _right(case):
    length = case["share"] * case["batches_per_epoch"] * case["epochs"]
    length = length / case["accumulation"] if case["told_in"] == "steps" else length
    return min(case["iteration"] // case["accumulation"] / length, 1.0)


def _slips(case):
    """What the usual slips give, by message key."""
    iteration, k, share = case["iteration"], case["accumulation"], case["share"]
    epoch, whole = case["batches_per_epoch"], case["batches_per_epoch"] * case["epochs"]
    steps = case["told_in"] == "steps"
    return {
        "as-printed": iteration / (share * epoch),
        "one-epoch": iteration // k / (share * epoch / (k if steps else 1)),
        "k-times-too-much": iteration / (share * whole / (k if steps else 1)),
        "half-a-call": iteration / k / (share * whole / (k if steps else 1)),
        "unit-ignored": iteration // k / (share * whole),
        "k-times-too-much ": iteration // k / (share * whole / k),
        "unit-upside-down": iteration // k / (share * whole * k),
    }


class _Share(Check):
    answer = "warmup_share"

    def probe(self, answer, case):
        names = ("iteration", "batches_per_epoch", "epochs", "accumulation", "share", "told_in")
        return {"share": number(answer(*(case[name] for name in names)))}

    def judge(self, case, output):
        actual, expected = output["share"], _right(case)
        if close(actual, expected, rtol=1e-6):
            return None
        if expected == 1.0 and actual > 1.0:
            return wrong("beyond-the-end", expected, actual)
        if close(actual, 100 * expected, rtol=1e-6):
            return wrong("in-per-cent", expected, actual)
        slips = _slips(case).items()
        return wrong(
            next((key.strip() for key, slip in slips if close(actual, slip, rtol=1e-6)), "share-off"),
            expected,
            actual,
        )


def _run(rng, told_in, accumulation=1):
    """A run of whose warm-up less than a tenth is done; its length is a whole number in either unit."""
    epoch, epochs = 960 * int(rng.integers(6, 18)), int(rng.choice([7, 8, 9]))
    share = float(rng.choice([0.0625, 0.125, 0.25]))
    calls = int(0.06 * share * epoch * epochs / accumulation)
    run = {"batches_per_epoch": epoch, "epochs": epochs, "accumulation": accumulation, "share": share}
    return run | {"iteration": calls * accumulation, "told_in": told_in}


class Epochs(_Share):
    name = "warmup-share/epochs"

    def cases(self, rng):
        yield _run(rng, "steps")
        yield _run(rng, "micro-batches")


class Calls(_Share):
    name = "warmup-share/calls"

    def cases(self, rng):
        k = int(rng.choice([3, 4, 5, 6]))
        yield _run(rng, "micro-batches", k)
        short = {
            "batches_per_epoch": 200,
            "epochs": 2,
            "accumulation": k,
            "share": 0.1,
            "told_in": "micro-batches",
        }
        yield short | {"iteration": 4 * k - 1}
        yield short | {"iteration": 4 * k}


class Unit(_Share):
    name = "warmup-share/unit"

    def cases(self, rng):
        k = int(rng.choice([3, 4, 5, 6]))
        yield _run(rng, "steps", k)
        yield _run(rng, "micro-batches", k)


class Done(_Share):
    name = "warmup-share/done"

    def cases(self, rng):
        for told_in in ("steps", "micro-batches"):
            run = _run(rng, told_in)
            yield run | {"iteration": run["iteration"] * int(rng.integers(30, 60))}
            whole = run["batches_per_epoch"] * run["epochs"]
            yield run | {"iteration": int(0.9 * run["share"] * whole)}
