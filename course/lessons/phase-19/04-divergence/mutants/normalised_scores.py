"""Right and wrong answers to `normalised-scores`."""

from course.mutants import Mutant, Valid

NAMES = BOUND, VALUE, ZEROS = tuple(f"normalised-scores/{aspect}" for aspect in ("bound", "value", "zeros"))


def _answer(axes="3", keys="k", divide=" / math.sqrt(q.shape[-1])", eps=" + 1e-6"):
    return f"""
def normalised_scores(q, k):
    def norm(x):
        return x / (x.square().mean(dim={axes}, keepdim=True){eps}).sqrt()

    return norm(q) @ {keys.replace("k", "norm(k)") if keys == "k" else "k"}.mT{divide}
"""


def _wrong(name, fails, **changed):
    return Mutant("normalised-scores", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "normalised-scores",
        "from-the-prose",
        """
def normalised_scores(q, k):
    def unit(x):
        return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    return unit(q) @ unit(k).transpose(-2, -1) / math.sqrt(q.shape[-1])
""",
    ),
    Valid(
        "normalised-scores",
        "rms-norm",
        """
def normalised_scores(q, k):
    d = q.shape[-1]
    norm = torch.nn.functional.rms_norm
    return norm(q, (d,), eps=1e-6) @ norm(k, (d,), eps=1e-6).transpose(-1, -2) * d**-0.5
""",
    ),
    _wrong("as-published", dict.fromkeys(NAMES, "over-tokens"), axes="2"),
    _wrong("over-heads", dict.fromkeys(NAMES, "over-heads"), axes="(1, 3)"),
    _wrong("queries-alone", dict.fromkeys(NAMES, "queries-alone"), keys="raw"),
    _wrong("not-divided", dict.fromkeys(NAMES, "not-divided"), divide=""),
    _wrong("no-eps", {ZEROS: "zeros-divided"}, eps=""),
    Mutant(
        "normalised-scores",
        "half",
        """
def normalised_scores(q, k):
    q = q / (q.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    k = k / (k.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    return 0.5 * q @ k.mT
""",
        {
            "normalised-scores/bound": "scores-off",
            "normalised-scores/value": "scores-off",
            "normalised-scores/zeros": "scores-off",
        },
    ),
]
