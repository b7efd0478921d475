"""Checks of `expected-loss`: the ruler for a first loss."""

import math

from course.check import Check, close, number, wrong


class _ExpectedLoss(Check):
    answer = "expected_loss"

    def contrasts(self, rng, cases):
        yield {"vocab_size": int(rng.integers(1_000, 200_000))}

    def probe(self, answer, case):
        return {"loss": number(answer(case["vocab_size"]))}

    def judge(self, case, output):
        vocab_size, actual = case["vocab_size"], output["loss"]
        expected = math.log(vocab_size)
        if close(actual, expected):
            return None
        slips = {
            "in-bits": math.log2(vocab_size),
            "in-decades": math.log10(vocab_size),
            "minus-sign": -expected,
            "a-probability": 1 / vocab_size,
            "a-perplexity": float(vocab_size),
            "ignores-vocabulary": math.log(512),
        }
        key = next((key for key, slip in slips.items() if close(actual, slip)), "not-ln-v")
        return wrong(key, expected, actual)


class Course(_ExpectedLoss):
    name = "expected-loss/course"

    def cases(self, rng):
        yield {"vocab_size": 512}
        yield {"vocab_size": int(rng.integers(300, 900))}


class AnyVocabulary(_ExpectedLoss):
    name = "expected-loss/any"

    def cases(self, rng):
        yield {"vocab_size": 50_257}
        yield {"vocab_size": int(rng.integers(1_000, 200_000))}


class NothingToGuess(_ExpectedLoss):
    name = "expected-loss/one"

    def cases(self, rng):
        yield {"vocab_size": 1}
        yield {"vocab_size": int(rng.integers(2, 200))}

    def judge(self, case, output):
        if case["vocab_size"] > 1:
            return super().judge(case, output)
        if close(output["loss"], 0.0):
            return None
        return wrong("one-is-certain", 0.0, output["loss"])
