"""Checks of `by-class`: a mean by verb class, with an error that counts verbs."""

import math

import numpy as np

from course.check import Check, close, given, number, wrong

REGULAR = ("play", "walk", "talk", "watch", "look", "finish")
IRREGULAR = ("go", "see", "eat", "come", "write", "have")
MODAL = ("can", "must", "may", "will")
CLASSES = {"regular": REGULAR, "irregular": IRREGULAR, "modal": MODAL}


def _forms(rng, regular, irregular, persons, modal=0, known=False):
    """Values of the forms of some verbs; `persons` says how many forms each has.

    With `known`, classes are given for verbs as well that are not among them.
    """
    drawn = ((REGULAR, regular), (IRREGULAR, irregular), (MODAL, modal))
    chosen = [verb for verbs, count in drawn for verb in rng.permutation(verbs)[:count]]
    verbs = [str(verb) for verb, count in zip(chosen, persons, strict=True) for _ in range(count)]
    level = {verb: rng.normal(8, 4) for verb in set(verbs)}
    order = rng.permutation(len(verbs))
    return {
        "verbs": [verbs[place] for place in order],
        "values": np.array([level[verbs[place]] + rng.normal(0, 1) for place in order]),
        "classes": {
            verb: name for name, all_of in CLASSES.items() for verb in all_of if known or verb in chosen
        },
    }


def _by_hand(case):
    """Return, by class, the verbs' means and all the forms' values."""
    verbs, values = np.array(case["verbs"]), case["values"]
    found = {}
    for name in sorted({case["classes"][verb] for verb in case["verbs"]}):
        members = [verb for verb in dict.fromkeys(case["verbs"]) if case["classes"][verb] == name]
        means = np.array([values[verbs == verb].mean() for verb in members])
        found[name] = means, np.concatenate([values[verbs == verb] for verb in members])
    return found


class _ByClass(Check):
    answer = "by_class"
    allow_nonfinite = True

    def probe(self, answer, case):
        found = given(answer(case["values"], list(case["verbs"]), dict(case["classes"])))
        if not isinstance(found, dict):
            return {"dict": False}
        pairs = {}
        for name, pair in found.items():
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                return {"dict": False}
            pairs[str(name)] = [number(pair[0]), number(pair[1])]
        return {"dict": True, "pairs": pairs}

    def judge(self, case, output):
        if not output["dict"]:
            return wrong("not-pairs")
        found = _by_hand(case)
        if set(output["pairs"]) != set(found):
            return wrong("other-classes", ", ".join(found), ", ".join(sorted(output["pairs"])))
        for name, (means, forms) in found.items():
            fault = self._judge(means, forms, *output["pairs"][name])
            if fault:
                return fault
        return None

    def _judge(self, means, forms, mean, error):
        raise NotImplementedError


def _mean_fault(means, forms, mean):
    if close(mean, means.mean()):
        return None
    if close(mean, forms.mean()):
        return wrong("forms-weigh", means.mean(), mean)
    if close(mean, means.sum()) or close(mean, forms.sum()):
        return wrong("a-sum", means.mean(), mean)
    if close(mean, np.median(means)):
        return wrong("a-median", means.mean(), mean)
    return wrong("mean-off", means.mean(), mean)


class Mean(_ByClass):
    name = "by-class/mean"

    def cases(self, rng):
        for regular, irregular in ((4, 4), (6, 3)):
            yield _forms(rng, regular, irregular, [3] * (regular + irregular))
        yield _forms(rng, 4, 3, [3] * 9, modal=2)
        yield _forms(rng, 3, 3, [3] * 6, known=True)

    def _judge(self, means, forms, mean, error):
        return _mean_fault(means, forms, mean)


class Weight(_ByClass):
    name = "by-class/weight"

    def cases(self, rng):
        for _ in range(2):
            yield _forms(rng, 4, 3, rng.permutation([1, 2, 3, 6, 1, 5, 2]).tolist())

    def _judge(self, means, forms, mean, error):
        return _mean_fault(means, forms, mean)


class Error(_ByClass):
    name = "by-class/error"

    def cases(self, rng):
        yield _forms(rng, 4, 3, [3] * 7)
        yield _forms(rng, 5, 2, [3] * 7)

    def _judge(self, means, forms, mean, error):
        n = len(means)
        right = means.std(ddof=1) / math.sqrt(n)
        slips = {
            "population": means.std() / math.sqrt(n),
            "not-an-error": means.std(ddof=1),
            "variance": means.var(ddof=1) / n,
            "forms-independent": forms.std(ddof=1) / math.sqrt(len(forms)),
        }
        slips["forms-independent-too"] = forms.std() / math.sqrt(len(forms))
        if close(error, right):
            return None
        key = next((key for key, slip in slips.items() if close(error, slip)), "error-off")
        return wrong(key.removesuffix("-too"), right, error, ratio=round(right / error, 2) if error else 0.0)


class Single(_ByClass):
    name = "by-class/single"

    def cases(self, rng):
        yield _forms(rng, 1, 4, [3] * 5)
        yield _forms(rng, 2, 1, [3] * 3)

    def _judge(self, means, forms, mean, error):
        if len(means) > 1:
            return None
        if error == math.inf:
            return None
        return wrong("one-verb-nan" if math.isnan(error) else "one-verb-sure", math.inf, error)
