"""Right and wrong answers to `climb`."""

from course.mutants import Mutant, Valid

STOPS, HOLDS, ADDS, OVERRIDES = (f"climb/{aspect}" for aspect in ("stops", "holds", "adds", "overrides"))


def _answer(
    add="settings = settings | added",
    record="climbed.append((name, ok))",
    stop="if not ok: break",
    first=True,
):
    order = (record, stop) if first else (stop, record)
    lines = [add, "ok = healthy(train(settings))", *order]
    body = "\n".join(f"        {line}" for line in lines)
    return f"""
def climb(rungs, train, healthy):
    settings, climbed = {{}}, []
    for name, added in rungs:
{body}
    return climbed
"""


ANSWERS = [
    Valid(
        "climb",
        "from-the-prose",
        """
def climb(rungs, train, healthy):
    settings, climbed = {}, []
    for name, added in rungs:
        settings = {**settings, **added}
        ok = healthy(train(settings))
        climbed.append((name, ok))
        if not ok:
            break
    return climbed
""",
    ),
    Valid(
        "climb",
        "in-place",
        """
def climb(rungs, train, healthy):
    settings, climbed = {}, []
    for name, added in rungs:
        settings.update(added)
        climbed.append([name, healthy(train(dict(settings)))])
        if climbed[-1][1] is False:
            return climbed
    return climbed
""",
    ),
    Mutant(
        "climb",
        "to-the-top",
        _answer(stop="pass"),
        {STOPS: "climbed-on", ADDS: "climbed-on", OVERRIDES: "climbed-on"},
    ),
    Mutant("climb", "each-alone", _answer(add="settings = added"), {ADDS: "each-alone"}),
    Mutant("climb", "earlier-wins", _answer(add="settings = added | settings"), {OVERRIDES: "earlier-wins"}),
    Mutant(
        "climb",
        "broken-left-out",
        _answer(first=False),
        {STOPS: "broken-left-out", ADDS: "broken-left-out", OVERRIDES: "broken-left-out"},
    ),
    Mutant(
        "climb",
        "base-left-out",
        _answer().replace("in rungs", "in rungs[1:]"),
        {STOPS: "climb-off", HOLDS: "climb-off", ADDS: "climb-off", OVERRIDES: "climb-off"},
    ),
    Mutant(
        "climb",
        "trains-all-first",
        """
def climb(rungs, train, healthy):
    settings, found = {}, []
    for name, added in rungs:
        settings = settings | added
        found.append((name, healthy(train(settings))))
    bad = [i for i, (_, ok) in enumerate(found) if not ok]
    return found[: bad[0] + 1] if bad else found
""",
        {
            "climb/stops": "trained-too-often",
            "climb/adds": "trained-too-often",
            "climb/overrides": "trained-too-often",
        },
    ),
    Mutant(
        "climb",
        "first-dict-updated",
        """
def climb(rungs, train, healthy):
    settings, found = rungs[0][1], []
    for name, added in rungs:
        settings.update(added)
        ok = healthy(train(settings))
        found.append((name, ok))
        if not ok:
            break
    return found
""",
        {
            "climb/stops": "rungs-overwritten",
            "climb/adds": "rungs-overwritten",
            "climb/overrides": "rungs-overwritten",
        },
    ),
    Mutant(
        "climb",
        "trains-twice",
        """
def climb(rungs, train, healthy):
    settings, found = {}, []
    for name, added in rungs:
        settings = {**settings, **added}
        found.append((name, healthy(train(settings))))
        if not healthy(train(settings)):
            break
    return found
""",
        {
            "climb/stops": "trained-too-often",
            "climb/holds": "trained-too-often",
            "climb/adds": "trained-too-often",
            "climb/overrides": "trained-too-often",
        },
    ),
    Mutant(
        "climb",
        "stops-after-two",
        """
def climb(rungs, train, healthy):
    settings, found, bad = {}, [], 0
    for name, added in rungs:
        settings = {**settings, **added}
        ok = healthy(train(settings))
        bad += not ok
        if bad == 2: break
        found.append((name, ok))
    return found
""",
        {
            "climb/stops": "trained-too-often",
            "climb/adds": "trained-too-often",
            "climb/overrides": "trained-too-often",
        },
    ),
]
