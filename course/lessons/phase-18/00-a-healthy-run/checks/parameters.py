"""Checks of `parameters`: how many parameters a config asks for."""

from course.check import Check, number, wrong
from minigpt import Config

COURSE = Config()


def _count_slips(case):
    """Right count first, then what the usual slips give, by message key."""
    v, t, layers, c = (case[name] for name in ("vocab_size", "context", "n_layer", "n_embd"))
    block = 12 * c * c + 2 * c
    total = v * c + t * c + layers * block + c + (0 if case["tied_head"] else v * c)
    return total, {
        "head-counted-twice" if case["tied_head"] else "head-not-counted": total
        + (v * c if case["tied_head"] else -v * c),
        "positions-forgotten": total - t * c,
        "embedding-forgotten": total - v * c,
        "norms-forgotten": total - layers * 2 * c - c,
        "last-norm-forgotten": total - c,
        "one-norm-a-block": total - layers * c,
        "one-block": total - (layers - 1) * block,
        "projection-forgotten": total - layers * c * c,
        "one-projection-for-three": total - layers * 2 * c * c,
        "mlp-one-way": total - layers * 4 * c * c,
        "biases-counted": total + layers * 11 * c + c,
        "ignores-the-config": 135_488,
    }


class _Parameters(Check):
    answer = "count_parameters"

    def case(self, rng, tied_head):
        return {
            "vocab_size": int(rng.integers(600, 9_000)),
            "context": int(rng.integers(70, 300)),
            "n_layer": int(rng.integers(3, 9)),
            "n_embd": 4 * int(rng.integers(9, 40)),
            "tied_head": tied_head,
        }

    def probe(self, answer, case):
        return {"count": number(answer(Config(**case)))}

    def judge(self, case, output):
        expected, slips = _count_slips(case)
        actual = output["count"]
        if actual == expected:
            return None
        keys = [key for key, value in slips.items() if actual == value]  # two where numbers coincide
        return wrong(keys[0] if len(keys) == 1 else "count-off", expected, int(actual))


class Course(_Parameters):
    name = "parameters/course"

    def cases(self, rng):
        names = ("vocab_size", "context", "n_layer", "n_embd", "tied_head")
        course = {name: getattr(COURSE, name) for name in names}
        yield course
        more, longer = int(rng.integers(1, 40)), int(rng.integers(1, 200))
        yield course | {"n_layer": COURSE.n_layer + more, "context": COURSE.context + longer}


class AnyShape(_Parameters):
    name = "parameters/any-shape"

    def cases(self, rng):
        for _ in range(2):
            yield self.case(rng, tied_head=True)


class Head(_Parameters):
    """Only what a head of its own adds, so that a slip elsewhere fails there alone."""

    name = "parameters/head"

    def cases(self, rng):
        yield self.case(rng, tied_head=False)

    def probe(self, answer, case):
        config = Config(**case)
        alone, shared = number(answer(config)), number(answer(config.replace(tied_head=True)))
        return {"added": alone - shared}

    def judge(self, case, output):
        expected, actual = case["vocab_size"] * case["n_embd"], int(output["added"])
        if actual == expected:
            return None
        key = {0: "head-ignored", -expected: "head-the-wrong-way-round"}.get(actual, "head-off")
        return wrong(key, expected, actual)
