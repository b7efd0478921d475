"""Checks of `lr-schedule`: the learning rate of every step."""

import numpy as np

from course.check import Check, array, close, number, wrong
from minigpt.training.schedule import lr_at

from .shared import config_of, draw_settings


def _same(actual, expected):
    return close(actual, expected, rtol=1e-4, atol=1e-12)


class _Schedule(Check):
    """`steps` says at which steps to ask for the rate, `slip` names what went wrong there."""

    answer = "lr_at"

    def cases(self, rng):
        for _ in range(2):
            settings = draw_settings(rng)
            yield settings | {"at": self.steps(settings)}

    def probe(self, answer, case):
        config = config_of(case)
        return {"rates": array([number(answer(step, config)) for step in case["at"]])}

    def judge(self, case, output):
        rates, expected = output["rates"], np.array([lr_at(step, config_of(case)) for step in case["at"]])
        if _same(rates, expected):
            return None
        shown = (expected, rates) if len(rates) > 1 else (float(expected[0]), float(rates[0]))
        return wrong(self.slip(case, rates, expected), *shown)


def _warm_up_slips(t, case):
    """What the usual slips give at step t of the warm-up, by message key."""
    top, low, w = case["lr_max"], case["lr_min"], case["warmup_steps"]
    return [
        ("starts-at-zero", top * t / w),
        ("starts-at-zero", top * t / (w - 1)),
        ("no-warm-up", top + 0.0 * t),
        ("divides-by-w-plus-one", top * (t + 1) / (w + 1)),
        ("warm-up-from-lr-min", low + (top - low) * (t + 1) / w),
        ("warm-up-from-lr-min", low + (top - low) * t / w),
    ]


def _decay_slips(t, case):
    """What the usual slips give at step t after the warm-up, by message key."""
    top, low = case["lr_max"], case["lr_min"]
    w, last = case["warmup_steps"], case["steps"] - 1
    p = (t - (w - 1)) / (last - (w - 1))

    def cosine(progress):
        return low + 0.5 * (top - low) * (1 + np.cos(np.pi * progress))

    return [
        ("never-decays", top + 0.0 * t),
        ("linear-not-cosine", top + (low - top) * p),
        ("top-twice", cosine((t - w) / (last - w))),
        ("ends-late", cosine((t - w) / (last + 1 - w))),
        ("ends-late", cosine((t - (w - 1)) / (last + 1 - (w - 1)))),
        ("warm-up-not-subtracted", cosine(t / last)),
        ("warm-up-not-subtracted", cosine(t / (last + 1))),
        ("down-to-zero", 0.5 * top * (1 + np.cos(np.pi * p))),
        ("lr-min-on-top", low + 0.5 * top * (1 + np.cos(np.pi * p))),
        ("half-forgotten", low + (top - low) * (1 + np.cos(np.pi * p))),
        ("quarter-cosine", low + (top - low) * np.cos(np.pi * p / 2)),
        ("upside-down", low + 0.5 * (top - low) * (1 - np.cos(np.pi * p))),
        ("pi-forgotten", low + 0.5 * (top - low) * (1 + np.cos(p))),
    ]


def _named(slips, actual, otherwise):
    return next((key for key, rates in slips if _same(actual, rates)), otherwise)


class FirstStep(_Schedule):
    name = "lr-schedule/first-step"

    def steps(self, settings):
        return [0]

    def slip(self, case, rates, expected):
        return _named(_warm_up_slips(np.zeros(1), case), rates, "first-off")


class WarmUp(_Schedule):
    name = "lr-schedule/warm-up"

    def steps(self, settings):
        return list(range(1, settings["warmup_steps"]))

    def slip(self, case, rates, expected):
        t = np.array(case["at"])
        late = ("one-step-late", case["lr_max"] * t / case["warmup_steps"])
        if _same(rates[:-1], expected[:-1]):
            return "top-missed"
        return _named([late, *_warm_up_slips(t, case)], rates, "warm-up-off")


class Cosine(_Schedule):
    name = "lr-schedule/cosine"

    def steps(self, settings):
        return list(range(settings["warmup_steps"], settings["steps"] - 1))

    def slip(self, case, rates, expected):
        return _named(_decay_slips(np.array(case["at"]), case), rates, "decay-off")


class LastStep(_Schedule):
    name = "lr-schedule/last-step"

    def steps(self, settings):
        return [settings["steps"] - 1]

    def slip(self, case, rates, expected):
        low, top = case["lr_min"], case["lr_max"]
        if low < rates[0] < low + 0.1 * (top - low):
            return "stops-short"
        return _named([("zero-at-the-end", [0.0]), ("top-at-the-end", [top])], rates, "end-off")


class Edges(_Schedule):
    name = "lr-schedule/edges"

    def cases(self, rng):
        settings = draw_settings(rng)
        yield settings | {"kind": "without", "warmup_steps": 0, "at": [0]}
        steps = settings["steps"]
        yield settings | {"kind": "only", "warmup_steps": steps, "at": [0, steps - 1]}
        yield settings | {"kind": "beyond", "at": [steps - 1, steps, steps + 9]}

    def judge(self, case, output):
        rates, top = output["rates"], case["lr_max"]
        if case["kind"] == "without" and not _same(rates[0], top):
            return wrong("without-warm-up", top, float(rates[0]))
        if case["kind"] == "only" and not (0 <= rates[0] <= rates[1] <= 1.001 * top):
            return wrong("only-warm-up", top, float(rates[1]))
        if case["kind"] == "beyond" and not (rates[1:] <= 1.0001 * rates[0]).all():
            return wrong("rises-again", rates[[0, 0]], rates[1:])
        return None
