"""Checks of `find-spikes`: values far above the ordinary ones before them."""

import numpy as np

from course.afterwards import in_one_place
from course.check import Check, array, wrong

NORMAL = 1.4826
DEFAULTS = {"z": 6.0, "window": 64, "enough": 32}


def spikes_of(losses, z, window, enough, ordinary_alone=True, both_sides=False, mean=False, by_place=False):
    """The places of spikes, by the rule of the exercise or with one part of it changed."""
    found, ordinary = [], []
    for place, loss in enumerate(losses):
        recent, is_spike = ordinary[-window:], not np.isfinite(loss)
        if by_place:
            recent = [losses[n] for n in range(max(0, place - window), place) if n not in found]
        if not is_spike and len(recent if by_place else ordinary) >= enough:
            middle = np.mean(recent) if mean else np.median(recent)
            spread = np.std(recent) if mean else NORMAL * np.median(np.abs(recent - middle))
            apart = abs(loss - middle) if both_sides else loss - middle
            is_spike = apart >= z * spread
        if is_spike:
            found.append(place)
        if not is_spike or (not ordinary_alone and np.isfinite(loss)):
            ordinary.append(loss)
    return found


def _limit(values, z, center=np.median, spread=np.median, scale=NORMAL):
    middle = center(values)
    return middle + z * scale * spread(np.abs(values - middle))


def _rms(distances):
    return np.sqrt(np.mean(distances**2))


SLIPS = ((np.median, np.mean), (np.mean, np.median), (np.mean, np.mean), (np.median, np.median, 1.0))
SLIPS += ((np.mean, _rms, 1.0),)  # mean and standard deviation


class _Spikes(Check):
    answer = "find_spikes"
    allow_nonfinite = True

    def _case(self, rng, bumps, steps=90, z=6.0, window=30, enough=20, noise=0.1, slope=0.0):
        """Noise around a level, and bumps: {place: robust deviations above (or below) what is usual}."""
        losses = 5.0 - slope * np.arange(steps) + noise * rng.uniform(-1, 1, steps)
        for place, height in sorted(bumps.items()):
            losses[place] = losses[place] + height if np.isfinite(height) else height
        return {"losses": losses, "z": z, "window": window, "enough": enough}

    def _near(self, rng, margin, steps=110, bare=False):
        """A run that falls, twice: one value a little above the limit, or a little below.

        Drawn until no slip has nearly the same limit. `bare`: nothing is given but the losses.
        """
        rule = DEFAULTS if bare else {"z": 6.0, "window": 31, "enough": 21}
        place, own = steps - int(rng.integers(3, 9)), rule["window"]
        while True:
            losses = 5.0 - 0.005 * np.arange(steps) + 0.1 * rng.exponential(1.0, steps).clip(max=2.5)
            before = losses[:place]
            limit = _limit(before[-own:], rule["z"])
            slips = [_limit(before[-window:], rule["z"]) for window in {16, 31, 64} - {own}]
            slips += [] if bare else [_limit(before[-own:], rule["z"], *slip) for slip in SLIPS]
            height, middle = limit - np.median(before[-own:]), np.median(before[-own:])
            if all(abs(slip - limit) > 2 * margin * height for slip in slips):
                break
        for share in (1 + margin, 1 - margin):
            losses = losses.copy()
            losses[place] = middle + share * height
            yield {"losses": losses} | rule | {"bare": bare, "near": True}

    def probe(self, answer, case):
        losses, call = [float(x) for x in case["losses"]], in_one_place(answer)
        rule = [] if case.get("bare") else [case[name] for name in DEFAULTS]
        return {name: array(call(losses, *rule)).ravel() for name in ("spikes", "again")}

    def judge(self, case, output):
        rule = {key: case[key] for key in ("losses", "z", "window", "enough")}
        right, actual = spikes_of(**rule), [int(place) for place in output["spikes"]]
        if actual == right:
            same = [int(place) for place in output["again"]] == right
            return None if same else wrong("list-overwritten", str(right), str(output["again"].tolist()))
        if case.get("bare"):
            return wrong("defaults-off", str(right), str(actual))
        for key, changed in (
            ("spikes-in-the-window", {"ordinary_alone": False}),
            ("both-sides", {"both_sides": True}),
            ("mean-and-deviation", {"mean": True}),
            ("window-by-place", {"by_place": True}),
        ):
            if actual and actual == spikes_of(**rule, **changed):
                return wrong(key, str(right), str(actual))
        return self._other(case, right, actual)

    def _other(self, case, right, actual):
        if any(place < case["enough"] and place not in right for place in actual):
            return wrong("too-early", str(right), str(actual))
        if set(actual) < set(right):
            return wrong("spikes-missed", str(right), str(actual))
        return wrong("false-spikes" if set(actual) > set(right) else "other-spikes", str(right), str(actual))


class One(_Spikes):
    name = "find-spikes/one"

    def cases(self, rng):
        for _ in range(2):
            yield self._case(rng, {int(rng.integers(35, 80)): 3.0})
        place = int(rng.integers(40, 80))
        yield self._case(rng, {place: 0.65})  # some nine deviations
        yield self._case(rng, {place: 3.0}, z=100.0)  # not that far
        yield from self._near(rng, 0.04)

    def _other(self, case, right, actual):
        if "near" in case:
            return wrong("limit-off", str(right), str(actual))
        return super()._other(case, right, actual)


class Several(_Spikes):
    """A burst does not become ordinary by lasting, nor does the window widen for it."""

    name = "find-spikes/burst"

    def cases(self, rng):
        start = int(rng.integers(32, 40))
        yield self._case(rng, {place: 4.0 for place in range(start, start + 40)})
        yield self._case(rng, {start: 40.0, start + 3: 1.5, start + 6: 1.5}, z=4.0)


class Lower(_Spikes):
    """A loss that falls far is no spike."""

    name = "find-spikes/lower"

    def cases(self, rng):
        first, low = int(rng.integers(35, 50)), int(rng.integers(55, 65))
        high = low + int(rng.integers(3, 12))  # a fall just before it must not hide it
        yield self._case(rng, {first: 3.0, low: -4.0, high: 3.0})
        yield self._case(rng, {place: -1.0 for place in range(60, 62)} | {75: 3.0})


class Edges(_Spikes):
    """The first values, values that are not finite, and the length of the window."""

    name = "find-spikes/edges"

    def cases(self, rng):
        early = int(rng.integers(3, 15))
        yield self._case(rng, {early: 3.0, 50: 3.0})
        yield self._case(rng, {20: 3.0, 60: 3.0}, enough=20)
        yield self._case(rng, {20: 3.0, 60: 3.0}, enough=21)
        yield self._case(rng, {10: np.nan, 40: np.inf, 60: 3.0})
        losses = self._case(rng, {}, steps=80, noise=0.02)
        losses["losses"][:40] += 2.0  # long ago it was higher: the window has forgotten that
        losses["losses"][75] += 0.5
        yield losses | {"window": 20}
        yield self._case(rng, {31: 3.0, 32: 3.0}) | DEFAULTS | {"bare": True}  # the 32nd and 33rd value
        yield from self._near(rng, 0.06, bare=True)

    def _other(self, case, right, actual):
        if not np.isfinite(case["losses"]).all():
            return wrong("not-finite-passes", str(right), str(actual))
        return super()._other(case, right, actual)
