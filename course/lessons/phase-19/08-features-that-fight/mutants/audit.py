"""Right and wrong answers to `audit`."""

from course.mutants import Mutant, Valid

NAMED, ANY, DECLARED = (f"audit/{aspect}" for aspect in ("named", "any-change", "declared"))
CRC = "zlib.crc32(weight.detach().numpy().tobytes())"


def _answer(note=CRC, same="noted[name] == {note}", excused="name in declared", early=False):
    same = same.format(note=note)
    before = f"noted = {{name: {note} for name, weight in model.named_parameters()}}"
    first, second = (before, "update(model)") if early else ("update(model)", before)
    return f"""
def audit(model, steps, declared):
    found = []
    for update, between in steps:
        {first}
        {second}
        between(model)
        names = []
        for name, weight in model.named_parameters():
            if not ({same}) and not ({excused}):
                names.append(name)
        found.append(names)
    return found
"""


ANSWERS = [
    Valid(
        "audit",
        "from-the-prose",
        """
def audit(model, steps, declared):
    def sums():
        return {n: zlib.crc32(w.detach().numpy().tobytes()) for n, w in model.named_parameters()}
    found = []
    for update, between in steps:
        update(model)
        noted = sums()
        between(model)
        now = sums()
        found.append([n for n in now if n not in declared and now[n] != noted[n]])
    return found
""",
    ),
    Valid(
        "audit",
        "copies",
        _answer(note="weight.detach().clone()", same="torch.equal(noted[name], weight)"),
    ),
    Mutant(
        "audit",
        "as-published",
        _answer(note="weight", same="torch.equal(noted[name], weight)"),
        {NAMED: "nothing-seen", ANY: "nothing-seen", DECLARED: "nothing-seen"},
    ),
    Mutant(
        "audit",
        "state-dict",
        _answer(note="weight.data", same="torch.equal(noted[name], weight)"),
        {NAMED: "nothing-seen", ANY: "nothing-seen", DECLARED: "nothing-seen"},
    ),
    Mutant(
        "audit",
        "norms",
        _answer(note="weight.detach().norm()", same="torch.isclose(noted[name], {note})"),
        {ANY: "norm-blind"},
    ),
    Mutant(
        "audit",
        "sum-of-bits",
        _answer(note="weight.detach().view(torch.int32).sum(dtype=torch.int64).item()"),
        {ANY: "swap-unseen"},
    ),
    Mutant(
        "audit",
        "nearly-equal",
        _answer(note="weight.detach().clone()", same="torch.allclose(noted[name], weight)"),
        {ANY: "nearly-equal"},
    ),
    Mutant("audit", "declared-accused", _answer(excused="False"), {DECLARED: "declared-accused"}),
    Mutant("audit", "all-excused", _answer(excused="declared"), {DECLARED: "all-excused"}),
    Mutant(
        "audit",
        "noted-too-early",
        _answer(early=True),
        {NAMED: "optimizer-accused", ANY: "optimizer-accused", DECLARED: "optimizer-accused"},
    ),
    Mutant(
        "audit",
        "prefix",
        """
def audit(model, steps, declared):
    import zlib
    sums = lambda: {n: zlib.crc32(w.detach().numpy().tobytes()) for n, w in model.named_parameters()}
    out = []
    for update, between in steps:
        update(model); noted = sums(); between(model)
        out.append([n for n, s in sums().items() if s != noted[n] and not any(d in n for d in declared)])
    return out
""",
        {"audit/declared": "excused-by-a-part"},
    ),
    Mutant(
        "audit",
        "first-row",
        """
def audit(model, steps, declared):
    import zlib
    sums = lambda: {n: zlib.crc32(w[0].detach().numpy().tobytes()) for n, w in model.named_parameters()}
    out = []
    for update, between in steps:
        update(model); noted = sums(); between(model)
        out.append([n for n, s in sums().items() if s != noted[n] and n not in declared])
    return out
""",
        {"audit/any-change": "row-unseen"},
    ),
]
