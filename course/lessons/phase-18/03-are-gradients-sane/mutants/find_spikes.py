"""Right and wrong answers to `find-spikes`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

SPIKE, CALM, BEHIND, NAN = (f"find-spikes/{aspect}" for aspect in ("one", "calm", "behind", "nan"))


def _spikes(typical="float(np.median(window))", keep="not spike", judge="spike = {test}", first=5):
    """A finder whose parts can be exchanged."""
    test = f"not math.isfinite(norm) or (len(usual) >= {first} and norm > factor * {typical})"
    return f"""
def find_spikes(norms, factor=5.0, window=20):
    usual, found, size = [], [], window
    for step, norm in enumerate(norms):
        window = usual[-size:]
        {judge.format(test=test)}
        if spike:
            found.append(step)
        if {keep}:
            usual.append(norm)
    return found
"""


right_spikes = partial(Valid, "find-spikes")
wrong_spikes = partial(Mutant, "find-spikes")

ANSWERS = [
    right_spikes("median", _spikes()),
    right_spikes("mean-of-the-usual", _spikes(typical="(sum(window) / len(window))")),
    right_spikes(
        "numpy",
        """
def find_spikes(norms, factor=5.0, window=20):
    norms = np.array(norms, dtype=float)
    spike = ~np.isfinite(norms)
    for step in np.flatnonzero(~spike):
        before = norms[:step][~spike[:step]][-window:]
        spike[step] = len(before) >= 5 and norms[step] > factor * np.median(before)
    return np.flatnonzero(spike)
""",
    ),
    right_spikes(
        "as-a-copy",
        """
def find_spikes(norms, factor=5.0, window=20):
    norms, found = list(norms), set()
    for step in range(len(norms)):
        before = [norm for norm in norms[:step] if norm is not None][-window:]
        finite = math.isfinite(norms[step])
        if not finite or (len(before) >= 5 and norms[step] / np.median(before) > factor):
            found.add(step)
            norms[step] = None
    return sorted(found)
""",
    ),
    wrong_spikes(
        "spikes-stay-in-the-median",
        _spikes(keep="math.isfinite(norm)"),
        {BEHIND: "row-ignored"},
    ),
    wrong_spikes(
        "window-of-steps",
        """
def find_spikes(norms, factor=5.0, window=20):
    norms, found = np.array(norms), []
    for step in range(len(norms)):
        before = norms[max(0, step - window) : step]
        before = before[np.isfinite(before)]
        if not np.isfinite(norms[step]) or (len(before) >= 5 and norms[step] > factor * np.median(before)):
            found.append(step)
    return np.array(found)
""",
        {BEHIND: "row-ignored", NAN: "row-ignored"},
    ),
    wrong_spikes(
        "ordinary-in-a-window-of-steps",
        """
def find_spikes(norms, factor=5.0, window=20):
    found = []
    for step, norm in enumerate(norms):
        before = [norms[s] for s in range(max(0, step - window), step) if s not in found]
        if not math.isfinite(norm) or (len(before) >= 5 and norm > factor * np.median(before)):
            found.append(step)
    return found
""",
        {BEHIND: "row-ignored", NAN: "row-ignored"},
    ),
    wrong_spikes(
        "writes-the-usual-norm-into-the-list",
        """
def find_spikes(norms, factor=5.0, window=20):
    found = []
    for step in range(len(norms)):
        before = [norm for norm in norms[:step] if math.isfinite(norm)][-window:]
        usual = np.median(before) if len(before) >= 5 else math.inf
        if not math.isfinite(norms[step]) or norms[step] > factor * usual:
            found.append(step)
            norms[step] = usual
    return found
""",
        {SPIKE: "list-overwritten", BEHIND: "list-overwritten", NAN: "list-overwritten"},
    ),
    wrong_spikes(
        "takes-the-spikes-out-of-the-list",
        _spikes().replace(
            "return found", "for step in reversed(found):\n        norms.pop(step)\n    return found"
        ),
        dict.fromkeys((SPIKE, BEHIND, NAN), "list-overwritten"),
    ),
    wrong_spikes(
        "limit-of-100",
        "def find_spikes(norms, factor=5.0, window=20):\n"
        "    return [s for s, norm in enumerate(norms) if not norm <= 100]",
        {SPIKE: "spike-missed", BEHIND: "hides-behind", NAN: "nan-poisons"},
    ),
    wrong_spikes(
        "mean-with-spikes",
        _spikes(typical="(sum(window) / len(window))", keep="math.isfinite(norm)"),
        {BEHIND: "hides-behind"},
    ),
    wrong_spikes(
        "whole-run",
        "def find_spikes(norms, factor=5.0, window=20):\n"
        "    usual = np.median([norm for norm in norms if math.isfinite(norm)])\n"
        "    return [s for s, norm in enumerate(norms) if not norm <= factor * usual]",
        {SPIKE: "start-ignored", CALM: "start-is-no-spike", NAN: "ordinary-ignored"},
    ),
    wrong_spikes(
        "factor-of-one",
        _spikes().replace("norm > factor *", "norm > 1.2 *"),
        {SPIKE: "false-alarm", CALM: "noise-is-no-spike", BEHIND: "false-alarm", NAN: "false-alarm"},
    ),
    wrong_spikes(
        "from-one",
        _spikes().replace("found.append(step)", "found.append(step + 1)"),
        dict.fromkeys((SPIKE, BEHIND, NAN), "counted-from-one"),
    ),
    wrong_spikes(
        "norms",
        _spikes().replace("found.append(step)", "found.append(norm)"),
        {SPIKE: "norms-not-steps", BEHIND: "norms-not-steps", NAN: "check.not-finite"},
    ),
    wrong_spikes(
        "count",
        _spikes().replace("return found", "return len(found)"),
        dict.fromkeys((SPIKE, CALM, BEHIND, NAN), "a-count"),
    ),
    wrong_spikes(
        "flags",
        _spikes().replace("return found", "return [step in found for step in range(len(norms))]"),
        dict.fromkeys((SPIKE, CALM, BEHIND, NAN), "a-flag-a-step"),
    ),
    wrong_spikes(
        "nan-passes",
        _spikes(keep="math.isfinite(norm)").replace("not math.isfinite(norm) or", "math.isfinite(norm) and"),
        {BEHIND: "row-ignored", NAN: "nan-missed"},
    ),
    wrong_spikes("nan-in-the-window", _spikes(keep="True"), {BEHIND: "row-ignored", NAN: "nan-poisons"}),
    wrong_spikes("factor-ignored", _spikes().replace("factor *", "5.0 *"), {SPIKE: "factor-ignored"}),
    wrong_spikes(
        "window-ignored", _spikes().replace("usual[-size:]", "usual[-20:]"), {SPIKE: "window-ignored"}
    ),
    wrong_spikes(
        "five-places",
        _spikes().replace("len(usual) >= 5", "step >= 5 and window"),
        {NAN: "ordinary-ignored"},
    ),
]
