"""Checks of `masked-mean`: a mean over what the mask keeps."""

import math

import numpy as np
import torch

from course.check import Check, array, close, number, wrong


def _batch(rng, ragged=True):
    """Losses (B, T) and a mask of lengths that all differ, as lists; padding holds losses too."""
    rows, columns = int(rng.integers(3, 6)), int(rng.integers(7, 12))
    lengths = rng.permutation(np.arange(1, columns))[:rows] if ragged else np.full(rows, columns)
    mask = np.arange(columns)[None] < lengths[:, None]
    losses = np.where(mask, rng.uniform(1.0, 7.0, mask.shape), rng.uniform(20.0, 40.0, mask.shape))
    return losses.astype(np.float32), mask


class _MaskedMean(Check):
    answer = "masked_mean"

    def probe(self, answer, case):
        losses = torch.tensor(case["losses"], dtype=torch.float32)
        return {"value": number(answer(losses, torch.tensor(case["mask"])))}


def _mean_slip(losses, mask, actual):
    rows, counted = len(losses), int(mask.sum())
    kept = float(losses[mask].sum())
    rows_kept = [row[keep] if keep.any() else np.zeros(1) for row, keep in zip(losses, mask, strict=True)]
    slips = {
        "sum-not-mean": kept,
        "mask-ignored": float(losses.mean()),
        "divides-by-all": kept / mask.size,
        "divides-by-batch": kept / rows,
        "divides-by-length": kept / mask.shape[1],
        "mean-of-means": float(np.mean([row.mean() for row in rows_kept])),
        "one-too-many": kept / (counted + 1),
        "zeros-not-counted": kept / max(int((losses[mask] != 0).sum()), 1),
    }
    if not mask.all():
        slips["mask-inverted"] = float(losses[~mask].mean())
    return next((key for key, slip in slips.items() if close(actual, slip)), "mean-off-target")


class Full(_MaskedMean):
    name = "masked-mean/full"

    def cases(self, rng):
        losses, mask = _batch(rng, ragged=False)
        yield {"losses": losses, "mask": mask}

    def judge(self, case, output):
        expected = float(case["losses"].mean())
        if close(output["value"], expected):
            return None
        return wrong(_mean_slip(case["losses"], case["mask"], output["value"]), expected, output["value"])


class Padding(_MaskedMean):
    name = "masked-mean/padding"

    def cases(self, rng):
        for _ in range(2):
            losses, mask = _batch(rng)
            yield {"losses": losses, "mask": mask}
        losses, mask = _batch(rng)
        alone = np.zeros_like(mask)
        alone[0, 0] = True
        yield {"losses": losses, "mask": alone}
        losses, mask = _batch(rng)
        losses[int(rng.integers(len(losses))), 0] = 0.0  # learnt by heart, and it counts
        yield {"losses": losses, "mask": mask}

    def judge(self, case, output):
        expected = float(case["losses"][case["mask"]].mean())
        if close(output["value"], expected):
            return None
        return wrong(_mean_slip(case["losses"], case["mask"], output["value"]), expected, output["value"])


class Empty(_MaskedMean):
    name = "masked-mean/empty"
    allow_nonfinite = True

    def cases(self, rng):
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": np.zeros_like(mask), "hidden": False}
        for poison in (math.inf, math.nan):
            losses, mask = _batch(rng)
            losses[tuple(rng.integers(losses.shape))] = poison
            yield {"losses": losses, "mask": np.zeros_like(mask), "hidden": True}

    def contrasts(self, rng, cases):
        losses = cases[0]["losses"]
        yield {"losses": losses, "mask": np.ones(losses.shape, dtype=bool)}

    def judge(self, case, output):
        actual = output["value"]
        if close(actual, 0.0):
            return None
        if case["hidden"] and not math.isfinite(actual):
            return wrong("empty-leaks", 0.0, actual)
        return wrong("empty-not-zero" if math.isfinite(actual) else "empty-gives-nan", 0.0, actual)


class Leak(_MaskedMean):
    name = "masked-mean/leak"
    allow_nonfinite = True

    def cases(self, rng):
        for poison in (math.inf, math.nan):
            losses, mask = _batch(rng)
            losses[tuple(rng.choice(np.argwhere(~mask)))] = poison
            yield {"losses": losses, "mask": mask, "hidden": True}
        losses, mask = _batch(rng)
        losses[tuple(rng.choice(np.argwhere(mask)))] = math.nan
        yield {"losses": losses, "mask": mask, "hidden": False}

    def judge(self, case, output):
        actual = output["value"]
        if not case["hidden"]:
            return None if math.isnan(actual) else wrong("nan-swallowed", math.nan, actual)
        if math.isfinite(actual):
            return None  # whether it is the right mean is the business of the checks before
        return wrong("masked-nan-leaks", float(case["losses"][case["mask"]].mean()), actual)


class Gradient(Check):
    name = "masked-mean/gradient"
    answer = "masked_mean"
    allow_nonfinite = True

    def cases(self, rng):
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": mask, "empty": False}
        losses, mask = _batch(rng)
        yield {"losses": losses, "mask": np.zeros_like(mask), "empty": True}

    def probe(self, answer, case):
        losses = torch.tensor(case["losses"], dtype=torch.float32, requires_grad=True)
        value = answer(losses, torch.tensor(case["mask"]))
        number(value)
        if not (isinstance(value, torch.Tensor) and value.requires_grad):
            return {"connected": False}
        value.sum().backward()
        return {"connected": True, "gradient": array(losses.grad, case["losses"].shape)}

    def judge(self, case, output):
        if not output["connected"]:
            return wrong("empty-cut-off" if case["empty"] else "cut-off")
        gradient, mask = output["gradient"], case["mask"]
        if not np.isfinite(gradient).all():
            return wrong("gradient-not-finite")
        if np.any(gradient[~mask] != 0):
            return wrong("gradient-on-padding", 0.0, float(np.abs(gradient[~mask]).max()))
        if np.any(gradient[mask] == 0):
            return wrong("gradient-missing")
        return None
