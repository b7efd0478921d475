"""Right and wrong answers to `find-spikes`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

ONE, BURST, LOWER, EDGES = (f"find-spikes/{aspect}" for aspect in ("one", "burst", "lower", "edges"))


def _find(
    middle="np.median(recent)",
    spread="1.4826 * np.median(np.abs(recent - middle))",
    far="loss - middle >= z * spread",
    known="len(ordinary) >= enough",
    recent="np.array(ordinary[-window:])",
    keep="if not spike:",
    finite="not math.isfinite(loss)",
    found="found.append(place)",
    defaults="z=6.0, window=64, enough=32",
):
    return f"""
def find_spikes(losses, {defaults}):
    found, ordinary = [], []
    for place, loss in enumerate(losses):
        spike = {finite}
        if not spike and {known}:
            recent = {recent}
            middle = {middle}
            spread = {spread}
            spike = {far}
        if spike:
            {found}
        {keep}
            ordinary.append(loss)
    return found
"""


ANSWERS = [
    Valid("find-spikes", "numpy", _find()),
    Valid(
        "find-spikes",
        "a-deque",
        """
import collections
import statistics


def find_spikes(losses, z=6.0, window=64, enough=32):
    recent, seen = collections.deque(maxlen=window), 0
    spikes = []
    for place, loss in enumerate(losses):
        if not math.isfinite(loss):
            spikes.append(place)
            continue
        if seen >= enough:
            usual = statistics.median(recent)
            mad = statistics.median(abs(value - usual) for value in recent)
            if loss >= usual + z * 1.4826 * mad:
                spikes.append(place)
                continue
        recent.append(loss)
        seen += 1
    return spikes
""",
    ),
    Mutant(
        "find-spikes",
        "times-the-mean",
        _find(far="loss >= z * np.mean(recent)"),
        dict.fromkeys((ONE, BURST, LOWER, EDGES), "spikes-missed"),
    ),
    Mutant(
        "find-spikes",
        "spikes-stay-in",
        _find(keep="if math.isfinite(loss):"),
        {BURST: "spikes-in-the-window"},
    ),
    Mutant(
        "find-spikes",
        "both-sides",
        _find(far="abs(loss - middle) >= z * spread"),
        {LOWER: "both-sides", EDGES: "both-sides"},
    ),
    Mutant(
        "find-spikes",
        "mean-and-std",
        _find("recent.mean()", "recent.std()"),
        {ONE: "limit-off", LOWER: "mean-and-deviation", EDGES: "defaults-off"},
    ),
    Mutant(
        "find-spikes",
        "too-soon",
        _find(known="len(ordinary) >= enough - 5"),
        {EDGES: "too-early"},
    ),
    Mutant(
        "find-spikes",
        "window-by-place",
        """
def find_spikes(losses, z=6.0, window=64, enough=32):
    found = []
    for place, loss in enumerate(losses):
        recent = [losses[n] for n in range(max(0, place - window), place) if n not in found]
        middle = np.median(recent) if recent else 0.0
        spread = 1.4826 * np.median(np.abs(np.array(recent) - middle)) if recent else 0.0
        if not math.isfinite(loss) or len(recent) >= enough and loss - middle >= z * spread:
            found.append(place)
    return found
""",
        {BURST: "window-by-place"},
    ),
    Mutant("find-spikes", "nan-passes", _find(finite="False"), {EDGES: "not-finite-passes"}),
    Mutant(
        "find-spikes",
        "all-of-it",
        _find(recent="np.array(ordinary)"),
        {ONE: "limit-off", EDGES: "spikes-missed"},
    ),
    Mutant(
        "find-spikes",
        "no-1.4826",
        _find(spread="np.median(np.abs(recent - middle))"),
        {ONE: "limit-off", EDGES: "defaults-off"},
    ),
    Mutant(
        "find-spikes",
        "mean-abs-dev",
        _find(spread="1.4826 * np.mean(np.abs(recent - middle))"),
        {ONE: "limit-off", EDGES: "defaults-off"},
    ),
    Mutant("find-spikes", "about-mean", _find("np.mean(recent)"), {ONE: "limit-off"}),
    Mutant("find-spikes", "window-64", _find(recent="np.array(ordinary[-64:])"), {ONE: "limit-off"}),
    Mutant(
        "find-spikes", "default-z", _find(defaults="z=3.0, window=64, enough=32"), {EDGES: "defaults-off"}
    ),
    Mutant(
        "find-spikes",
        "default-window",
        _find(defaults="z=6.0, window=16, enough=32"),
        {EDGES: "defaults-off"},
    ),
    Mutant(
        "find-spikes",
        "default-enough",
        _find(defaults="z=6.0, window=64, enough=64"),
        {EDGES: "defaults-off"},
    ),
    Mutant(
        "find-spikes",
        "overwrites",
        _find(found="losses[place] = 0.0; found.append(place)"),
        dict.fromkeys((ONE, BURST, LOWER, EDGES), "list-overwritten"),
    ),
]
