"""Right and wrong answers to `replay-batch`."""

from course.mutants import Mutant, Valid

SHARE, AGAIN, APART = (f"replay-batch/{aspect}" for aspect in ("share", "again", "apart"))


def _answer(seed="(seed, step)", old="round(share * size)", new="size - old", tables="first, second"):
    return f"""
def replay_batch(first, second, share, size, seed, step):
    generator = np.random.default_rng({seed})
    old = {old}
    one, other = {tables}
    return torch.cat([
        one[generator.integers(len(one), size=old)],
        other[generator.integers(len(other), size={new})],
    ])
"""


def _wrong(name, fails, **changed):
    return Mutant("replay-batch", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "replay-batch",
        "from-the-prose",
        """
def replay_batch(first, second, share, size, seed, step):
    rng = np.random.default_rng((seed, step))
    old = round(share * size)
    a = rng.integers(0, len(first), old)
    b = rng.integers(0, len(second), size - old)
    return torch.cat([first[torch.from_numpy(a)], second[torch.from_numpy(b)]])
""",
    ),
    Valid(
        "replay-batch",
        "torch-generator",
        """
def replay_batch(first, second, share, size, seed, step):
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    old = round(share * size)
    a = torch.randint(len(first), (old,), generator=generator)
    b = torch.randint(len(second), (size - old,), generator=generator)
    return torch.cat([second[b], first[a]])
""",
    ),
    _wrong("rounded-down", {SHARE: "share-off"}, old="int(share * size)"),
    _wrong("on-top", {SHARE: "on-top", AGAIN: "on-top", APART: "on-top"}, new="size"),
    _wrong("swapped", {SHARE: "shares-swapped", AGAIN: "shares-swapped"}, tables="second, first"),
    _wrong("seed-plus-step", {APART: "seed-plus-step"}, seed="seed + step"),
    _wrong("every-step-the-same", {APART: "same-every-step"}, seed="seed"),
    _wrong("seed-ignored", {APART: "seed-ignored"}, seed="step"),
    _wrong("no-seed", {AGAIN: "not-repeatable"}, seed=""),
    Mutant(
        "replay-batch",
        "ceil",
        """
def replay_batch(first, second, share, size, seed, step):
    g = np.random.default_rng((seed, step))
    old = int(np.ceil(share * size))
    old_rows = first[g.integers(len(first), size=old)]
    return torch.cat([old_rows, second[g.integers(len(second), size=size - old)]])
""",
        {"replay-batch/share": "share-off"},
    ),
    Mutant(
        "replay-batch",
        "block",
        """
def replay_batch(first, second, share, size, seed, step):
    g = np.random.default_rng((seed, step))
    old = round(share * size)
    a, b = int(g.integers(len(first) - old)), int(g.integers(len(second) - size))
    return torch.cat([first[a : a + old], second[b : b + size - old]])
""",
        {"replay-batch/share": "a-block"},
    ),
    Mutant(
        "replay-batch",
        "one-draw-for-both",
        """
def replay_batch(first, second, share, size, seed, step):
    g = np.random.default_rng((seed, step))
    old = round(share * size)
    at = g.integers(min(len(first), len(second)), size=size)
    return torch.cat([first[at[:old]], second[at[old:]]])
""",
        {"replay-batch/share": "not-from-all"},
    ),
    Mutant(
        "replay-batch",
        "len-swapped",
        """
def replay_batch(first, second, share, size, seed, step):
    g = np.random.default_rng((seed, step))
    old = round(share * size)
    return torch.cat([first[g.integers(size, size=old)], second[g.integers(size, size=size - old)]])
""",
        {"replay-batch/share": "not-from-all"},
    ),
    Mutant(
        "replay-batch",
        "product-seed",
        """
def replay_batch(first, second, share, size, seed, step):
    g = np.random.default_rng(seed * step)
    old = round(share * size)
    old_rows = first[g.integers(len(first), size=old)]
    return torch.cat([old_rows, second[g.integers(len(second), size=size - old)]])
""",
        {"replay-batch/apart": "swapped-is-the-same"},
    ),
]
