"""Checks of lesson 18-00: tokens and parameters from the config, a torn log, one question of the tree."""

import json

import numpy as np

from course.check import Check, array, number, wrong
from course.probing import Unusable
from minigpt.config import Config

COURSE = Config()


def _given(value):
    if value is None:
        raise Unusable("check.returned-none")
    return value


class _Tokens(Check):
    answer = "tokens"
    names = ("batch_size", "accumulation", "context", "steps")

    def case(self, rng, accumulation):
        drawn = {"batch_size": (3, 40), "context": (20, 130), "steps": (200, 900)}
        return {name: int(rng.integers(*ends)) for name, ends in drawn.items()} | {
            "accumulation": accumulation
        }

    def probe(self, answer, case):
        return {"tokens": array(_given(answer(Config(**case))), shape=(2,))}

    def _step(self, case, step):
        """What a wrong count of one step may be: message key → value."""
        rows, parts, context = case["batch_size"], case["accumulation"], case["context"]
        slips = {
            "context-forgotten": rows * parts,
            "batch-forgotten": parts * context,
            "accumulation-forgotten": rows * context,
            "accumulation-divides": rows * context / parts,
            "whole-run-first": rows * parts * context * case["steps"],
        }
        return next((key for key, value in slips.items() if step == value), "step-off")

    def judge(self, case, output):
        step = float(output["tokens"][0])
        expected = case["batch_size"] * case["accumulation"] * case["context"]
        return None if step == expected else wrong(self._step(case, step), expected, int(step))


class Step(_Tokens):
    name = "tokens/step"

    def cases(self, rng):
        yield self.case(rng, 1)


class Accumulation(_Tokens):
    name = "tokens/accumulation"

    def cases(self, rng):
        yield self.case(rng, int(rng.integers(3, 8)))


class WholeRun(_Tokens):
    """Judged by the ratio to one step, so that a slip there fails there alone."""

    name = "tokens/run"

    def cases(self, rng):
        yield self.case(rng, int(rng.integers(3, 8)))

    def judge(self, case, output):
        step, run = (float(value) for value in output["tokens"])
        if run == step * case["steps"]:
            return None
        slips = {
            "run-is-a-step": step,
            "run-first": step / case["steps"],
            "run-in-micro-batches": step * case["steps"] * case["accumulation"],
            "run-shared-out": step * case["steps"] / case["accumulation"],
            "run-one-short": step * (case["steps"] - 1),
        }
        key = next((key for key, value in slips.items() if run == value), "run-off")
        return wrong(key, int(step * case["steps"]), int(run))


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
        yield {name: getattr(COURSE, name) for name in names}


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


class _ReadLog(Check):
    answer = "read_log"

    def records(self, rng):
        losses = rng.uniform(2.0, 6.0, int(rng.integers(4, 9))).round(3)
        return [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses)]

    def probe(self, answer, case):
        return {"records": self._plain(answer(case["text"]))}

    def _plain(self, found):
        """The records as lists of step and loss; a text that says what is there, where it is none."""
        if isinstance(_given(found), (str, dict)) or not hasattr(found, "__iter__"):
            return type(found).__name__
        found = list(found)
        for record in found:
            if not isinstance(record, dict):
                return type(record).__name__
        return [[number(record.get("step", -1)), number(record.get("loss", -1))] for record in found]

    def judge(self, case, output):
        expected = [[float(record["step"]), record["loss"]] for record in case["records"]]
        actual = output["records"]
        if actual == expected:
            return None
        if type(actual) is str:
            return wrong("no-dicts", kind=actual)
        return self.wrong_records(expected, actual)


class Whole(_ReadLog):
    name = "read-log/whole"

    def cases(self, rng):
        records = self.records(rng)
        yield {"records": records, "text": "".join(json.dumps(record) + "\n" for record in records)}
        yield {"records": [], "text": ""}

    def wrong_records(self, expected, actual):
        key = "lines-lost" if len(actual) < len(expected) else "lines-differ"
        return wrong(key, len(expected), len(actual))


class Torn(_ReadLog):
    name = "read-log/torn"

    def cases(self, rng):
        records = self.records(rng)
        text = "\n".join(json.dumps(record) for record in records)
        yield {"records": records[:-1], "text": text[: -int(rng.integers(1, 20))]}

    def probe(self, answer, case):
        try:
            return super().probe(answer, case)
        except ValueError:
            return {"records": []}

    def wrong_records(self, expected, actual):
        if not actual:
            return wrong("torn-line-stops")
        key = "torn-line-kept" if len(actual) > len(expected) else "more-than-the-torn-line"
        return wrong(key, len(expected), len(actual))


class LastLine(_ReadLog):
    name = "read-log/last-line"

    def cases(self, rng):
        records = self.records(rng)
        yield {"records": records, "text": "\n".join(json.dumps(record) for record in records)}

    def wrong_records(self, expected, actual):
        key = "whole-line-dropped" if len(actual) == len(expected) - 1 else "lines-differ"
        return wrong(key, len(expected), len(actual))


class Damaged(_ReadLog):
    name = "read-log/damaged"

    def cases(self, rng):
        lines = [json.dumps(record) for record in self.records(rng)]
        hurt = int(rng.integers(1, len(lines) - 2))
        lines[hurt] = lines[hurt][:9]
        yield {"text": "\n".join(lines) + "\n", "line": hurt + 1}

    def probe(self, answer, case):
        try:
            found = answer(case["text"])
            return {"raised": False, "records": len(list(_given(found)))}
        except ValueError:
            return {"raised": True, "records": 0}

    def judge(self, case, output):
        return None if output["raised"] else wrong("damage-passed-over", "ValueError", output["records"])


VERDICTS = ("pass", "warn", "fail", "not measured")


class _FirstGradient(Check):
    """`norms` are ranges that the norm of step 0 is drawn from; the steps after it say something else."""

    answer = "first_gradient"
    expected: str
    norms: tuple[tuple[float, float], ...] = ()
    later = 1.0  # what the norm of a later step is about

    def cases(self, rng):
        for low, high in self.norms:
            norm = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            yield self.log(rng, norm)

    def log(self, rng, norm, first=0):
        norms = [norm, *(self.later * rng.uniform(0.9, 1.1, 12))]
        records = [{"step": first + i, "loss": 6.2, "grad_norm": float(n)} for i, n in enumerate(norms)]
        return {"records": records, "norm": norm}

    def probe(self, answer, case):
        return {"verdict": str(_given(answer(case["records"])))}

    def judge(self, case, output):
        actual = output["verdict"]
        if actual == self.expected:
            return None
        if actual not in VERDICTS:
            return wrong("not-a-verdict", self.expected, actual)
        return wrong(self.slip(case, actual), self.expected, actual)


class Healthy(_FirstGradient):
    name = "first-gradient/healthy"
    expected = "pass"
    norms = ((0.12, 0.9), (1.1, 9.0))
    later = 300.0

    def slip(self, case, actual):
        return "healthy-refused" if actual == "warn" else "other-steps"


class Odd(_FirstGradient):
    name = "first-gradient/odd"
    expected = "warn"
    norms = ((11.0, 90.0), (0.0012, 0.09))

    def slip(self, case, actual):
        if actual == "pass":
            return "odd-passes" if case["norm"] > 1 else "small-passes"
        return "odd-refused"


class Broken(_FirstGradient):
    name = "first-gradient/broken"
    expected = "fail"
    norms = ((110.0, 9_000.0), (1e-6, 9e-4))

    def slip(self, case, actual):
        return "large-let-through" if case["norm"] > 1 else "small-let-through"


class NotMeasured(_FirstGradient):
    name = "first-gradient/not-measured"
    expected = "not measured"

    def cases(self, rng):
        yield self.log(rng, 1.0, first=int(rng.integers(2, 90))) | {"kind": "later"}
        bare = self.log(rng, 1.0) | {"kind": "bare"}
        del bare["records"][0]["grad_norm"]
        yield bare

    def slip(self, case, actual):
        return "begins-later" if case["kind"] == "later" else "no-norm"
