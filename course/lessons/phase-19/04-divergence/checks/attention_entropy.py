"""Checks of `attention-entropy`: by head, each row divided by ln of the tokens that it can see."""

import numpy as np
import torch

from course.check import Check, given, wrong


def _rows(weights):
    safe = np.where(weights > 0, weights, 1.0)
    return -(weights * np.log(safe)).sum(axis=3)  # (B, H, T)


class _Entropy(Check):
    answer = "attention_entropy"
    allow_nonfinite = True

    def _weights(self, scores):
        hidden = np.triu(np.ones(scores.shape[2:]), 1) > 0
        powers = np.where(hidden, 0.0, np.exp(scores))
        return {"weights": powers / powers.sum(axis=3, keepdims=True)}

    def _by_weight(self, weights, rows):
        """By ln of the tokens that have a weight, where there is more than one."""
        seen = np.log(np.maximum((weights > 0).sum(axis=3), 2))[:, :, 1:]
        return (rows[:, :, 1:] / seen).mean(axis=(0, 2))

    def probe(self, answer, case):
        found = torch.as_tensor(given(answer(torch.tensor(case["weights"])))).double()
        return {"entropy": found.tolist()}

    def judge(self, case, output):
        rows, actual = _rows(case["weights"]), np.array(output["entropy"])
        T = rows.shape[2]
        seen = np.log(np.arange(2, T + 1))
        scaled = rows[:, :, 1:] / seen
        expected = scaled.mean(axis=(0, 2))
        if actual.shape != expected.shape:
            return wrong("entropy-shape", list(expected.shape), list(actual.shape))
        if not np.isfinite(actual).all():
            return wrong("zero-log-zero")
        if np.allclose(actual, expected, rtol=1e-5, atol=1e-7):
            return None
        slips = {
            "by-the-length": (rows[:, :, 1:] / np.log(T)).mean(axis=(0, 2)),
            "not-normalised": rows[:, :, 1:].mean(axis=(0, 2)),
            "first-row-counted": scaled.sum(axis=2).mean(axis=0) / T,
            "sign": -expected,
            "only-what-has-weight": self._by_weight(case["weights"], rows),
        }
        key = next(
            (key for key, slip in slips.items() if np.allclose(actual, slip, rtol=1e-5)), "entropy-off"
        )
        return wrong(key)


class Uniform(_Entropy):
    name = "attention-entropy/uniform"

    def cases(self, rng):
        yield self._some_heads(rng, (2, 3, 6, 6))
        yield self._some_heads(rng, (1, 4, 9, 9))

    def _some_heads(self, rng, shape):
        """Equal weights in some heads; the others look at a single token."""
        case = self._weights(np.zeros(shape))
        for head in rng.permutation(shape[1])[: int(rng.integers(1, shape[1]))]:
            case["weights"][:, head] = np.eye(shape[2])
        return case


class OneToken(_Entropy):
    name = "attention-entropy/one-token"

    def cases(self, rng):
        weights = np.zeros((2, 3, 6, 6))
        weights[:, :, :, 0] = 1.0
        yield {"weights": weights}
        weights = weights.copy()
        weights[:, 0] = self._weights(rng.normal(0, 1, (2, 1, 6, 6)))["weights"][:, 0]
        yield {"weights": weights}


class Heads(_Entropy):
    name = "attention-entropy/heads"

    def cases(self, rng):
        yield self._weights(rng.normal(0, 1, (2, 3, 6, 6)) * np.array([0.3, 1.0, 3.0])[:, None, None])
        yield self._weights(rng.normal(0, 2, (3, 2, 8, 8)))
        scores = rng.normal(0, 1, (2, 3, 7, 7))
        scores[:, :, 3:, 1] = -np.inf  # visible, and not looked at
        yield self._weights(scores)
