"""Right and wrong answers to `verdict`."""

from course.mutants import Mutant, Valid

CURES, HELPS, NOTHING = (f"verdict/{aspect}" for aspect in ("cures", "helps", "nothing"))


def _answer(
    near="abs(tried[0] - right[0]) < margin and abs(tried[1] - right[1]) < margin",
    below="ill[1] - tried[1] > margin",
):
    return f"""
def verdict(ill, tried, right, margin):
    if {near}:
        return "cures"
    return "helps" if {below} else "nothing"
"""


ANSWERS = [
    Valid(
        "verdict",
        "from-the-prose",
        """
def verdict(ill, tried, right, margin):
    if abs(tried[0] - right[0]) < margin and abs(tried[1] - right[1]) < margin:
        return "cures"
    if tried[1] < ill[1] - margin:
        return "helps"
    return "nothing"
""",
    ),
    Valid(
        "verdict",
        "helps-first",
        """
def verdict(ill, tried, right, margin):
    far = max(abs(a - b) for a, b in zip(tried, right))
    word = "helps" if tried[-1] + margin < ill[-1] else "nothing"
    return "cures" if far < margin else word
""",
    ),
    Mutant(
        "verdict", "end-alone", _answer(near="abs(tried[1] - right[1]) < margin"), {HELPS: "helps-not-cures"}
    ),
    Mutant(
        "verdict",
        "start-alone",
        _answer(near="abs(tried[0] - right[0]) < margin"),
        {HELPS: "helps-not-cures", NOTHING: "nothing-not-cures"},
    ),
    Mutant("verdict", "no-margin", _answer(below="ill[1] > tried[1]"), {NOTHING: "nothing-not-helps"}),
    Mutant(
        "verdict",
        "any-change",
        _answer(below="abs(ill[1] - tried[1]) > margin"),
        {NOTHING: "nothing-not-helps"},
    ),
    Mutant(
        "verdict",
        "better-is-cured-too",
        _answer(near="tried[0] < right[0] + margin and tried[1] < right[1] + margin"),
        {HELPS: "too-good"},
    ),
    Mutant(
        "verdict",
        "only-better-is-cured",
        _answer(near="tried[0] <= right[0] and tried[1] <= right[1]"),
        {CURES: "cures-not-helps", HELPS: "too-good"},
    ),
    Mutant(
        "verdict",
        "le",
        """
def verdict(ill, tried, right, margin):
    if abs(tried[0] - right[0]) <= margin and abs(tried[1] - right[1]) <= margin:
        return "cures"
    return "helps" if ill[1] - tried[1] > margin else "nothing"
""",
        {"verdict/helps": "exactly-the-margin"},
    ),
    Mutant(
        "verdict",
        "ge",
        """
def verdict(ill, tried, right, margin):
    if abs(tried[0] - right[0]) < margin and abs(tried[1] - right[1]) < margin:
        return "cures"
    return "helps" if ill[1] - tried[1] >= margin else "nothing"
""",
        {"verdict/nothing": "exactly-the-margin"},
    ),
    Mutant(
        "verdict",
        "half-margin",
        """
def verdict(ill, tried, right, margin):
    if abs(tried[0] - right[0]) < margin and abs(tried[1] - right[1]) < margin:
        return "cures"
    return "helps" if tried[1] < ill[1] - 0.25 else "nothing"
""",
        {"verdict/helps": "helps-not-nothing", "verdict/nothing": "nothing-not-helps"},
    ),
]
