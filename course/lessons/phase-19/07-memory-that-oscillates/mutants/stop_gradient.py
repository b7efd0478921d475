"""Right and wrong answers to `stop-gradient`."""

from course.mutants import Mutant, Valid

VALUE, GATE, MEMORY, AFTERWARDS = (
    f"stop-gradient/{aspect}" for aspect in ("value", "gate", "memory", "afterwards")
)


def _answer(body):
    return f"def mix(present, recalled, gate):\n    {body}"


ANSWERS = [
    Valid("stop-gradient", "from-the-prose", _answer("return gate * recalled.detach() + present")),
    Valid("stop-gradient", "one-call", _answer("return torch.addcmul(present, gate, recalled.data)")),
    Valid(
        "stop-gradient",
        "without-a-graph",
        """
def mix(present, recalled, gate):
    with torch.no_grad():
        read = recalled.clone()
    return present + gate * read
""",
    ),
    Mutant(
        "stop-gradient",
        "as-it-stands",
        _answer("return present + (gate * recalled).detach()"),
        {GATE: "gate-frozen"},
    ),
    Mutant(
        "stop-gradient",
        "without-a-stop",
        _answer("return present + gate * recalled"),
        {MEMORY: "memory-reached"},
    ),
    Mutant(
        "stop-gradient",
        "all-of-it",
        _answer("return (present + gate * recalled).detach()"),
        {GATE: "nothing-learns"},
    ),
    Mutant(
        "stop-gradient",
        "the-present-too",
        _answer("return present.detach() + gate * recalled.detach()"),
        {GATE: "present-frozen"},
    ),
    Mutant(
        "stop-gradient",
        "in-place",
        _answer("return present + gate * recalled.detach_()"),
        {AFTERWARDS: "switched-off"},
    ),
    Mutant(
        "stop-gradient",
        "into-the-present",
        _answer("present += gate * recalled.detach(); return present"),
        {AFTERWARDS: "present-overwritten"},
    ),
    Mutant(
        "stop-gradient",
        "without-the-gate",
        _answer("return present + recalled.detach()"),
        dict.fromkeys((VALUE, MEMORY, AFTERWARDS), "gate-forgotten") | {GATE: "gate-frozen"},
    ),
    Mutant(
        "stop-gradient",
        "a-mean-of-both",
        _answer("return (1 - gate) * present + gate * recalled.detach()"),
        dict.fromkeys((VALUE, MEMORY, AFTERWARDS), "convex") | {GATE: "mix-gradient-off"},
    ),
    Mutant(
        "stop-gradient",
        "the-memory-alone",
        _answer("return gate * recalled.detach()"),
        dict.fromkeys((VALUE, MEMORY, AFTERWARDS), "present-forgotten") | {GATE: "present-frozen"},
    ),
]
