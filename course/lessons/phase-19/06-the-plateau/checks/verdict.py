"""Checks of `verdict`: cures, helps, or nothing."""

from course.check import Check, given, wrong


class _Verdict(Check):
    answer = "verdict"

    def _runs(self, rng, expected, margin=None):
        margin = margin or round(float(rng.uniform(0.2, 0.4)), 2)
        right = [round(float(rng.uniform(2, 3)), 2), round(float(rng.uniform(1, 2)), 2)]
        ill = [right[0] + 5.0, right[1] + 3.0]
        return {"expected": expected, "margin": margin, "right": right, "ill": ill}

    def _exact(self, expected, tried):
        """Runs whose differences are a margin of 0.25, to the last digit."""
        runs = {"expected": expected, "margin": 0.25, "right": [2.0, 1.0], "ill": [7.0, 4.0]}
        return runs | {"tried": tried, "exact": True}

    def contrasts(self, rng, cases):
        for case in cases:
            for tried in (case["right"], case["ill"], [case["ill"][0], case["ill"][1] - 2.0]):
                yield case | {"tried": list(tried)}

    def probe(self, answer, case):
        runs = (tuple(case[name]) for name in ("ill", "tried", "right"))
        return {"word": str(given(answer(*runs, case["margin"])))}

    def judge(self, case, output):
        expected, actual = case["expected"], output["word"]
        if actual == expected:
            return None
        if actual not in ("cures", "helps", "nothing"):
            return wrong("not-a-verdict", expected, actual)
        if "exact" in case:
            return wrong("exactly-the-margin", expected, actual)
        pairs = zip(case["tried"], case["right"], strict=True)
        if (expected, actual) == ("helps", "cures") and any(t < r - case["margin"] for t, r in pairs):
            return wrong("too-good", expected, actual)
        return wrong(f"{expected}-not-{actual}", expected, actual)


class Cures(_Verdict):
    name = "verdict/cures"

    def cases(self, rng):
        runs = self._runs(rng, "cures")
        first, last, near = *runs["right"], 0.9 * runs["margin"]
        yield runs | {"tried": [first + near, last + near]}
        yield runs | {"tried": [first - near, last - near]}


class Helps(_Verdict):
    name = "verdict/helps"

    def cases(self, rng):
        runs = self._runs(rng, "helps")
        margin, ill, right = runs["margin"], runs["ill"], runs["right"]
        yield runs | {"tried": [ill[0], ill[1] - 1.2 * margin]}
        yield runs | {"tried": [ill[0], right[1]]}
        yield runs | {"tried": [right[0], right[1] + 1.2 * margin]}
        yield runs | {"tried": [right[0] + 1.2 * margin, right[1]]}
        yield runs | {"tried": [right[0] - 1.2 * margin, right[1]]}  # too good to be right
        yield runs | {"tried": [right[0], right[1] - 1.2 * margin]}
        runs = self._runs(rng, "helps", 0.1)
        yield runs | {"tried": [runs["ill"][0], runs["ill"][1] - 0.12]}
        for tried in ([2.25, 1.0], [2.0, 1.25]):
            yield self._exact("helps", tried)


class Nothing(_Verdict):
    name = "verdict/nothing"

    def cases(self, rng):
        runs = self._runs(rng, "nothing")
        margin, ill, right = runs["margin"], runs["ill"], runs["right"]
        yield runs | {"tried": [ill[0], ill[1] - 0.8 * margin]}
        yield runs | {"tried": [ill[0], ill[1] + 2 * margin]}
        yield runs | {"tried": [right[0], ill[1]]}
        runs = self._runs(rng, "nothing", 0.8)
        yield runs | {"tried": [runs["ill"][0], runs["ill"][1] - 0.7]}
        yield self._exact("nothing", [7.0, 3.75])
