"""Checks of `tokens`: how many tokens a step and a run take, from the config."""

from course.check import Check, array, given, wrong
from minigpt import Config


class _Tokens(Check):
    answer = "tokens"
    names = ("batch_size", "accumulation", "context", "steps")

    def case(self, rng, accumulation):
        drawn = {"batch_size": (3, 40), "context": (20, 130), "steps": (200, 900)}
        return {name: int(rng.integers(*ends)) for name, ends in drawn.items()} | {
            "accumulation": accumulation
        }

    def probe(self, answer, case):
        return {"tokens": array(given(answer(Config(**case))), shape=(2,))}

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
        if step <= 0:  # of no tokens any multiple is right
            return super().judge(case, output)
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
