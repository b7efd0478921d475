"""Right and wrong answers to `patient-a` to `patient-f`; each wrong one names what it fails, and why."""

from course.mutants import Mutant, Valid

ASPECTS = ("leaf", "evidence", "repair")
RIGHT = {  # the ward of the reference solution
    "a": (["memory-feedback"], ("10.3", 1.75), ["build_model"], {}),
    "b": (["clip-before-unscale"], ("7.3", 1024), ["clip"], {}),
    "c": (["target-shift"], ("1.4", 2), ["loss"], {}),
    "d": (["scaler-not-updated", "dead-gate"], ("7.3", "✗"), ["step", "build_model"], {}),
    "e": ([], ("1.2", 0.615), [], {}),
    "f": (["warmup-missing"], ("8.3", "100 %"), [], {"warmup_steps": 15, "lr_max": 0.005, "lr_min": 0.0005}),
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
    if not isinstance(figure, str):
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
            _chart(letter, evidence=["6.2", figure]),
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
    Valid("patient-b", "as-a-pair", _chart("b", evidence={"7.3": "1024"}, parts="clip")),
    Valid("patient-f", "as-measured", _chart("f", evidence=["8.3", 1.0])),
    Valid(
        "patient-f", "gentler", _chart("f", settings={"warmup_steps": 20, "lr_max": 0.003, "lr_min": 0.0003})
    ),
    Mutant(
        "patient-b",
        "whole-window",  # true of all six
        _chart("b", evidence=["7.3", "✓"]),
        {"patient-b/evidence": "charts.says-nothing"},
    ),
    Mutant(
        "patient-d",
        "one-of-two",
        _chart("d", leaves=["scaler-not-updated"], parts=["step"]),
        dict.fromkeys((f"patient-d/{aspect}" for aspect in ASPECTS), "charts.one-more-behind"),
    ),
    Mutant(
        "patient-d", "half-treated", _chart("d", parts=["step"]), {"patient-d/repair": "charts.still-sick"}
    ),
    Mutant(
        "patient-f",
        "warm-up-alone",
        _chart("f", settings={"warmup_steps": 15}),
        {"patient-f/repair": "charts.still-sick"},
    ),
    Mutant(
        "patient-f",
        "with-a-guard",
        _chart("f", settings={"guard_rate": 1}),
        {"patient-f/repair": "charts.no-such-setting"},
    ),
    Mutant(
        "patient-f",
        "without-value",
        _chart("f", settings=["lr_max"]),
        {"patient-f/repair": "charts.setting-without-value"},
    ),
    Mutant(
        "patient-f",
        "refused",
        _chart("f", settings={"lr_max": -1}),
        {"patient-f/repair": "charts.setting-refused"},
    ),
]
