"""Checks of `scaler`: a loss scaler, method by method."""

import numpy as np
import torch

from course.afterwards import in_one_place
from course.check import Check, array, close, number, wrong


def _settings(rng):
    return {
        "scale": float(2.0 ** rng.integers(3, 12)),
        "growth": float(rng.choice([2.0, 1.5, 3.0])),
        "backoff": float(rng.choice([0.5, 0.25, 0.1])),
        "interval": int(rng.integers(3, 6)),
    }


class _Scaler(Check):
    answer = "Scaler"

    def make(self, answer, case):
        return answer(case["scale"], case["growth"], case["backoff"], case["interval"])


class Scale(_Scaler):
    name = "scaler/scale"

    def cases(self, rng):
        for _ in range(2):
            yield _settings(rng) | {"loss": float(rng.uniform(1, 7))}

    def probe(self, answer, case):
        loss, call = torch.tensor(case["loss"]), in_one_place(self.make(answer, case).scale_loss)
        return {name: number(call(loss)) for name in ("loss", "again")}

    def judge(self, case, output):
        right, actual = case["scale"] * case["loss"], output["loss"]
        if close(actual, right):
            again = output["again"]
            return None if close(again, right) else wrong("loss-overwritten", right, again)
        slips = {"loss-as-it-was": case["loss"], "loss-divided": case["loss"] / case["scale"]}
        key = next((key for key, slip in slips.items() if close(actual, slip)), "loss-off")
        return wrong(key, right, actual)


class Unscale(_Scaler):
    name = "scaler/unscale"
    allow_nonfinite = True

    def cases(self, rng):
        for _ in range(2):
            yield _settings(rng) | {"one": rng.normal(0, 50, (3, 2)), "two": rng.normal(0, 50, 4)}
        overflown = {"one": rng.normal(0, 50, (3, 2)), "two": rng.normal(0, 50, 4), "bad": True}
        overflown["one"][1, 0] = np.inf
        yield _settings(rng) | overflown

    def probe(self, answer, case):
        gradients = torch.tensor(case["one"]), torch.tensor(case["two"])
        self.make(answer, case).unscale(list(gradients))  # an optimizer keeps the tensors, not the list
        return {"one": array(gradients[0], (3, 2)), "two": array(gradients[1], (4,))}

    def judge(self, case, output):
        for name in ("one", "two"):
            before, after = case[name], output[name]
            finite = np.isfinite(before)
            if close(after[finite], before[finite] / case["scale"]):
                continue
            if "bad" in case:
                return wrong("stops-at-the-first")
            if close(after, before):
                key = "not-in-place" if name == "one" else "first-alone"
                return wrong(key, before.flat[0] / case["scale"], after.flat[0])
            if close(after, before * case["scale"]):
                return wrong("multiplied", before.flat[0] / case["scale"], after.flat[0])
            return wrong("gradient-off", before.flat[0] / case["scale"], after.flat[0])
        return None


class Found(_Scaler):
    name = "scaler/found"

    def cases(self, rng):
        for bad in (np.inf, 0.0, -np.inf, np.nan):
            for place in (0, 1):
                yield _settings(rng) | {"bad": bad, "place": place, "other": rng.normal(0, 1, 3)}
        for bad in (6e4, 1e30):
            yield _settings(rng) | {"bad": bad, "place": 1, "other": rng.normal(0, 1, 3)}

    def probe(self, answer, case):
        gradients = [torch.tensor(case["other"]), torch.tensor(case["other"])]
        gradients[case["place"]][1] = case["bad"]
        return {"found": bool(number(self.make(answer, case).unscale(gradients)))}

    def judge(self, case, output):
        right = not np.isfinite(case["bad"])
        if output["found"] == right:
            return None
        if not right:
            return wrong("false-alarm", False, True)
        return wrong("nan-unseen" if np.isnan(case["bad"]) else "infinity-unseen", True, False)


class _Updates(_Scaler):
    def probe(self, answer, case):
        scaler = self.make(answer, case)
        return {"scales": [number(scaler.update(bool(found))) for found in case["founds"]]}

    def _by_hand(self, case, reset=True, restart=True, every=0):
        scale, good, scales = case["scale"], 0, []
        for found in case["founds"]:
            if found:
                scale *= case["backoff"]
                good = 0 if reset else good
            else:
                good += 1
                if good == case["interval"] + every or (not restart and good > case["interval"]):
                    scale *= case["growth"]
                    good = 0 if restart else good
            scales.append(scale)
        return np.array(scales)

    def judge(self, case, output):
        right, actual = self._by_hand(case), np.array(output["scales"])
        if close(actual, right):
            return None
        place = int(np.argmin(np.isclose(actual, right)))
        return wrong(self._slip(case, right, actual, place), right[place], actual[place], call=place + 1)

    def _slip(self, case, right, actual, place):
        raise NotImplementedError


class Backoff(_Updates):
    name = "scaler/backoff"

    def cases(self, rng):
        yield _settings(rng) | {"founds": [True, True, False, True]}
        yield _settings(rng) | {"founds": [False, True, False, True]}

    def _slip(self, case, right, actual, place):
        before = right[place - 1] if place else case["scale"]
        if close(actual[place], before):
            return "never-backs-off"
        if case["founds"][place] and actual[place] > before:
            return "grows-on-overflow"
        return "backoff-off"


class Growth(_Updates):
    name = "scaler/growth"

    def cases(self, rng):
        for _ in range(2):
            settings = _settings(rng)
            n = settings["interval"]
            yield settings | {"founds": [False] * (n - 1) + [True] + [False] * (2 * n + 1)}
            yield settings | {"founds": [False] * (3 * n + 1)}
            yield settings | {"founds": [False] * (n - 2) + [True] + [False] * (2 * n + 1)}

    def _slip(self, case, right, actual, place):
        if close(actual, self._by_hand(case, reset=False)):
            return "streak-not-broken"
        if close(actual, self._by_hand(case, restart=False)):
            return "grows-for-ever"
        if close(actual, self._by_hand(case, every=1)) or close(actual, self._by_hand(case, every=-1)):
            return "growth-one-off"
        growth = [case["scale"] * case["growth"] ** (n + 1) for n in range(len(actual))]
        if close(actual[0], growth[0]):
            return "grows-at-once"
        return "growth-off"
