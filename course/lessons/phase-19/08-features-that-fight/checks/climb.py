"""Checks of `climb`: one feature at a time, and a stop at the first rung that breaks."""

from course.afterwards import in_one_place
from course.check import Check, given, wrong
from course.kept import Kept


class Log(Kept):
    """Every run that was asked for. Its loss is high where all the settings that fight are on."""

    served = ("loss",)

    def __init__(self, fights):
        self.fights, self.runs = fights, 0

    def loss(self, settings):
        self.runs += 1
        return 9.0 if all(settings.get(key) == value for key, value in self.fights) else 2.0


class Training:
    """A run that costs nothing, but is counted."""

    def __init__(self, fights):
        self.log = Log(fights)

    def __call__(self, settings):
        return self.log.loss(dict(settings))


def below_five(loss):
    """Whether a loss is that of a healthy run."""
    return loss < 5.0


def _walk(case, add=lambda before, added: before | added, stop=True, told=True):
    """The rungs as pairs, by the rule or with one part of it changed."""
    train, settings, climbed = Training(case["fights"]), {}, []
    for name, added in case["rungs"]:
        settings = add(settings, added)
        holds = below_five(train(settings))
        if holds or told:
            climbed.append([name, holds])
        if stop and not holds:
            break
    return climbed


def _pairs(climbed):
    if not isinstance(climbed, list | tuple):
        return climbed
    return [list(pair) if isinstance(pair, list | tuple) else pair for pair in climbed]


class _Climb(Check):
    answer = "climb"

    def _case(self, rng, fights):
        names = [f"{name}-{int(rng.integers(100, 999))}" for name in "abcdef"]
        rungs = [[name, {f"f{number}": 1} if number else {}] for number, name in enumerate(names)]
        return {"rungs": rungs, "fights": [[f"f{number}", 1] for number in fights]}

    def probe(self, answer, case):
        rungs = [(name, dict(added)) for name, added in case["rungs"]]
        train, call = Training(case["fights"]), in_one_place(answer)
        climbed = _pairs(given(call(rungs, train, below_five)))
        runs = train.log.runs
        return {"climbed": climbed, "runs": runs, "again": _pairs(given(call(rungs, train, below_five)))}

    def judge(self, case, output):
        expected, actual = _walk(case), output["climbed"]
        if actual == expected:
            if output["runs"] != len(expected):
                return wrong("trained-too-often", len(expected), output["runs"])
            return None if output["again"] == expected else wrong("rungs-overwritten")
        slips = {
            "climbed-on": _walk(case, stop=False),
            "each-alone": _walk(case, add=lambda before, added: added),
            "earlier-wins": _walk(case, add=lambda before, added: added | before),
            "broken-left-out": _walk(case, told=False),
        }
        key = next((key for key, slip in slips.items() if actual == slip), "climb-off")
        return wrong(key, str(expected), str(actual))


class Stops(_Climb):
    name = "climb/stops"

    def cases(self, rng):
        yield self._case(rng, [2])
        yield self._case(rng, [4])


class Holds(_Climb):
    name = "climb/holds"

    def cases(self, rng):
        yield self._case(rng, [99])
        yield self._case(rng, [98])

    def contrasts(self, rng, cases):
        for case in cases:
            yield case | {"fights": [["f3", 1]]}


class Adds(_Climb):
    name = "climb/adds"

    def cases(self, rng):
        yield self._case(rng, [1, 3])
        yield self._case(rng, [2, 3, 4])


class Overrides(_Climb):
    name = "climb/overrides"

    def cases(self, rng):
        for at in (3, 4):
            case = self._case(rng, [1])
            case["rungs"][at][1] = {"f1": 2}
            yield case | {"fights": [["f1", 2]]}
