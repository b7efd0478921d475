"""Checks of `adam-update`: Adam's update, step by step."""

import math

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, number, wrong


def _moments(rng, shape=(3, 4), size=1.0):
    gradient, m = rng.normal(0, size, shape), rng.normal(0, size, shape)
    gradient += 0.3 * size * np.sign(gradient)  # far from 0, where epsilon would show
    return {"gradient": gradient, "m": m, "v": m**2 + rng.uniform(0.1, 0.5, shape) * size**2}


def _new_moments(case):
    g, beta1, beta2 = case["gradient"], case["beta1"], case["beta2"]
    return beta1 * case["m"] + (1 - beta1) * g, beta2 * case["v"] + (1 - beta2) * g**2


def _update(m, v, case, t):
    """Adam's step from moments that hold this gradient already (Kingma & Ba, 2015, algorithm 1)."""
    m_hat, v_hat = m / (1 - case["beta1"] ** t), v / (1 - case["beta2"] ** t)
    return case["lr"] * m_hat / (np.sqrt(v_hat) + case["eps"])


class _Adam(Check):
    answer = "adam_update"
    betas = (0.9, 0.99)
    others = {"beta1": 0.8, "beta2": 0.95}  # by the case: whoever wrote the betas down is found
    eps = 1e-8

    def _case(self, rng, t, **arrays):
        lr = round(float(rng.uniform(0.001, 0.1)), 4)
        return {"t": t, "lr": lr, "beta1": self.betas[0], "beta2": self.betas[1], "eps": self.eps, **arrays}

    def probe(self, answer, case):
        return self._called(answer, case, torch.tensor(case["gradient"]), case["m"], case["v"])

    def _called(self, answer, case, gradient, m, v):
        settings = (case[name] for name in ("t", "lr", "beta1", "beta2", "eps"))
        returned = answer(gradient, torch.tensor(m), torch.tensor(v), *settings)
        if returned is None:
            number(returned)
        if not isinstance(returned, (tuple, list)) or len(returned) != 3:
            return {"three": False}
        update, m, v = (array(part, case["gradient"].shape) for part in returned)
        return {"three": True, "update": update, "m": m, "v": v}

    def judge(self, case, output):
        if not output["three"]:
            return wrong("not-three")
        return self._judge(case, output)

    def _judge(self, case, output):
        raise NotImplementedError

    def _slip(self, case, output):
        """The misconception behind an update: from the true moments, or from the learner's own."""
        update, late, t = output["update"], case["t"] > 1, case["t"]
        if not np.isfinite(update).all():
            return wrong("not-finite" if late else "counted-from-zero")
        if not np.any(update):
            return wrong("update-zero")
        bases = [_new_moments(case), (output["m"], output["v"])]
        if any(close(update, _update(m, v, case, t)) for m, v in bases):
            return None
        right, factors = _update(*bases[0], case, t), _slips(case)
        key = next((key for key, factor in factors.items() if close(update, right * factor)), None)
        for other, name in ((t + 1, "counted-one-more"), (t - 1, "counted-one-less")):
            if other and close(update, _update(*bases[0], case, other)):
                key = name
        root = np.sqrt(bases[0][1] / (1 - case["beta2"] ** t))
        if close(update, right / root):
            key = "no-root"
        return wrong(key or "update-off", right[0], update[0])


def _slips(case):
    """By slip, how many times too large it makes every update."""
    correction1, correction2 = 1 - case["beta1"] ** case["t"], 1 - case["beta2"] ** case["t"]
    return {
        "not-corrected": correction1 / math.sqrt(correction2),
        "m-not-corrected": correction1,
        "v-not-corrected": 1 / math.sqrt(correction2),
        "wrong-sign": -1.0,
        "no-lr": 1 / case["lr"],
    }


class Moments(_Adam):
    """Called a second time on the same gradient, with other moments: there it must count as before."""

    name = "adam-update/moments"

    def cases(self, rng):
        for t, betas in ((int(rng.integers(3, 9)), {}), (int(rng.integers(20, 60)), self.others)):
            other = {f"other_{name}": part for name, part in _moments(rng).items()}
            yield self._case(rng, t, **other, **_moments(rng)) | betas

    def probe(self, answer, case):
        gradient, answer = torch.tensor(case["gradient"]), in_one_place(answer)
        first = self._called(answer, case, gradient, case["m"], case["v"])
        if not first["three"]:
            return first
        second = self._called(answer, case, gradient, case["other_m"], case["other_v"])
        return first | {"second": second.get("m", np.zeros_like(case["m"]))}

    def _judge(self, case, output):
        return self._first_call(case, output) or self._second_call(case, output)

    def _second_call(self, case, output):
        g, b1 = case["gradient"], case["beta1"]
        seen = (output["second"] - b1 * case["other_m"]) / (1 - b1)  # the gradient that its m came from
        return None if close(seen, g) else wrong("gradient-changed", g[0], seen[0])

    def _first_call(self, case, output):
        g, b1, b2 = case["gradient"], case["beta1"], case["beta2"]
        m, v = _new_moments(case)
        fixed = zip(self.betas, (case["m"], case["v"]), (g, g**2), strict=True)
        slips = {
            "corrected-kept": (m / (1 - b1 ** case["t"]), v / (1 - b2 ** case["t"])),
            "moment-unchanged": (case["m"], case["v"]),
            "gradient-whole": (b1 * case["m"] + g, b2 * case["v"] + g**2),
            "weights-swapped": ((1 - b1) * case["m"] + b1 * g, (1 - b2) * case["v"] + b2 * g**2),
            "betas-swapped": (b2 * case["m"] + (1 - b2) * g, b1 * case["v"] + (1 - b1) * g**2),
            "forgets": ((1 - b1) * g, (1 - b2) * g**2),
            "betas-fixed": tuple(b * old + (1 - b) * new for b, old, new in fixed),
        }
        for part, right, actual in ((0, m, output["m"]), (1, v, output["v"])):
            if close(actual, right):
                continue
            key = next((key for key, slip in slips.items() if close(actual, slip[part])), None)
            if part == 1 and close(np.abs(actual), np.abs(b2 * case["v"] + (1 - b2) * np.abs(g))):
                key = "not-squared"
            return wrong(key or ("m-off", "v-off")[part], right[0], actual[0])
        return None


class First(_Adam):
    name = "adam-update/first"
    allow_nonfinite = True
    betas = (0.9, 0.999)  # with 0.99 a first update without correction has the right size by chance

    def cases(self, rng):
        zero = np.zeros((3, 4))
        yield self._case(rng, 1, gradient=_moments(rng)["gradient"], m=zero, v=zero)

    def _judge(self, case, output):
        return self._slip(case, output)


class Later(_Adam):
    name = "adam-update/later"

    def cases(self, rng):
        for t, betas in ((int(rng.integers(3, 6)), {}), (int(rng.integers(8, 20)), self.others)):
            yield self._case(rng, t, **_moments(rng)) | betas

    def _judge(self, case, output):
        return self._slip(case, output)


class Epsilon(_Adam):
    """So late that no correction is left, and with gradients as small as epsilon."""

    name = "adam-update/epsilon"
    allow_nonfinite = True

    def cases(self, rng):
        yield self._case(rng, 100_000, **_moments(rng, size=1e-8))
        zero = np.zeros((3, 4))
        yield self._case(rng, 100_000, gradient=zero, m=zero, v=zero)
        yield self._case(rng, 100_000, **_moments(rng, size=1e-4)) | {"eps": 1e-4}

    def _judge(self, case, output):
        if not np.isfinite(output["update"]).all():
            return wrong("no-epsilon")
        size, bases = np.abs(output["update"]), [_new_moments(case), (output["m"], output["v"])]

        def is_size(right):  # the sign is the business of the checks before
            return close(size, np.abs(right), rtol=1e-3, atol=1e-12)

        if any(is_size(_update(m, v, case, case["t"])) for m, v in bases) and (
            size.any() or not bases[0][0].any()
        ):
            return None
        if not size.any():
            return wrong("update-zero")
        m, v = bases[0]
        slips = {
            "epsilon-inside": case["lr"] * m / np.sqrt(v + case["eps"]),
            "no-epsilon": case["lr"] * m / np.sqrt(v),
        }
        if case["eps"] != self.eps:
            slips = {"epsilon-fixed": _update(m, v, case | {"eps": self.eps}, case["t"])}
        key = next((key for key, slip in slips.items() if is_size(slip)), "epsilon-off")
        return wrong(key, _update(m, v, case, case["t"])[0], output["update"][0])
