"""Right and wrong answers to `patient-a` to `patient-f`; each wrong one names what it fails, and why."""

from course.mutants import Mutant, Valid

ASPECTS = ("leaf", "evidence", "repair")
RIGHT = {  # the ward of the reference solution
    "a": ([], ("1.1", 6.25), [], {}),
    "b": (["target-shift", "diverging"], ("1.4", 2), ["loss", "build_optimizer"], {}),
    "c": (["degenerate-data"], ("1.6", 1), ["get_batch"], {}),
    "d": (["missing-zero-grad"], ("3.3", 0.866), ["step"], {}),
    "e": (["always-clipping"], ("3.1", 1.0), [], {"clip_norm": 1.0}),
    "f": (["lr-group-scale"], ("2.1", 0.0003), ["build_optimizer"], {}),
}


def _chart(letter, **changes):
    leaves, evidence, parts, settings = RIGHT[letter]
    chart = {"leaves": leaves, "evidence": evidence, "parts": parts, "settings": settings} | changes
    rows = "".join(f", {key!r}: {value!r}" for key, value in chart.items())
    return f'patient_{letter} = {{"name": MY_NAME{rows}}}'


def _answers(letter):
    exercise = f"patient-{letter}"
    leaf, evidence, repair = (f"{exercise}/{aspect}" for aspect in ASPECTS)
    leaves, (question, figure), parts, settings = RIGHT[letter]

    def all_three(key):
        return dict.fromkeys((leaf, evidence, repair), key)

    yield Valid(exercise, "other-order", _chart(letter, leaves=leaves[::-1], parts=parts[::-1]))
    yield Valid(exercise, "rounded", _chart(letter, evidence=[question, figure * 1.01]))
    yield Mutant(exercise, "empty", f"patient_{letter} = {{}}", all_three("charts.not-a-chart"))
    told = "charts.other-leaf" if leaves else "charts.healthy-called-sick"
    yield Mutant(exercise, "init-scale", _chart(letter, leaves=["init-scale"]), all_three(told))
    yield Mutant(
        exercise, "misspelt", _chart(letter, leaves=["no-zero-grad"]), all_three("charts.no-such-leaf")
    )
    yield Mutant(
        exercise,
        "another-figure",
        _chart(letter, evidence=[question, 77.7]),
        {evidence: "charts.other-figure"},
    )
    yield Mutant(exercise, "no-figure", _chart(letter, evidence=[question]), {evidence: "charts.no-figure"})
    yield Mutant(exercise, "no-evidence", _chart(letter, evidence=[]), {evidence: "charts.no-such-question"})
    yield Mutant(
        exercise,
        "takes-out-more",
        _chart(letter, parts=[*parts, "seed_step"]),
        {repair: "charts.healthy-part-exchanged"},
    )
    yield Mutant(
        exercise, "unknown-part", _chart(letter, parts=["optimiser"]), {repair: "charts.no-such-part"}
    )
    yield Mutant(
        exercise, "unknown-setting", _chart(letter, settings={"steps": 1}), {repair: "charts.no-such-setting"}
    )
    if leaves:
        yield Mutant(
            exercise, "untreated", _chart(letter, parts=[], settings={}), {repair: "charts.still-sick"}
        )
        yield Mutant(
            exercise,
            "another-question",
            _chart(letter, evidence=["1.2", figure]),
            {evidence: "charts.other-question"},
        )
        extra = _chart(letter, leaves=[*leaves, "weight-mean"])
        yield Mutant(exercise, "one-too-many", extra, all_three("charts.one-too-many"))
    if not settings:
        yield Mutant(
            exercise,
            "another-rate",
            _chart(letter, settings={"lr_max": 0.001}),
            {repair: "charts.healthy-setting-changed"},
        )


ANSWERS = [
    *(answer for letter in RIGHT for answer in _answers(letter)),
    Mutant(
        "patient-b",
        "one-of-two",
        _chart("b", leaves=["target-shift"], parts=["loss"]),
        dict.fromkeys(
            (f"patient-b/{aspect}" for aspect in ("leaf", "evidence", "repair")), "charts.one-more-behind"
        ),
    ),
    Valid("patient-e", "as-printed", _chart("e", evidence=["3.1", "100 %"])),
    Valid("patient-e", "percent", _chart("e", evidence={"3.1": 100})),
    Valid("patient-f", "bare-text", _chart("f", leaves="lr-group-scale", parts="build_optimizer")),
    Mutant(
        "patient-a",
        "same-for-all",
        _chart("a", evidence=["1.1", 512]),
        {"patient-a/evidence": "charts.says-nothing"},
    ),
    Mutant(
        "patient-e",
        "without-value",
        _chart("e", settings=["clip_norm"]),
        {"patient-e/repair": "charts.setting-without-value"},
    ),
    Mutant(
        "patient-b", "half-treated", _chart("b", parts=["loss"]), {"patient-b/repair": "charts.still-sick"}
    ),
    Mutant(
        "patient-e",
        "refused",
        _chart("e", settings={"clip_norm": 0}),
        {"patient-e/repair": "charts.setting-refused"},
    ),
]
