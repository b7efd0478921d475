"""Right and wrong answers to lesson 18-00; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

STEP, ACCUMULATION, RUN = TOKENS = [f"tokens/{aspect}" for aspect in ("step", "accumulation", "run")]
COURSE, SHAPE, HEAD = (f"parameters/{aspect}" for aspect in ("course", "any-shape", "head"))
WHOLE, TORN, LAST, DAMAGED = LOG = [
    f"read-log/{aspect}" for aspect in ("whole", "torn", "last-line", "damaged")
]
HEALTHY, ODD, BROKEN, NOT_MEASURED = [
    f"first-gradient/{aspect}" for aspect in ("healthy", "odd", "broken", "not-measured")
]


def _tokens(name, fails, step="a * b * c", run="step * config.steps", back="step, run"):
    code = f"""
def tokens(config):
    a, b, c = config.batch_size, config.accumulation, config.context
    step = {step}
    run = {run}
    return {back}
"""
    return Mutant("tokens", name, code, fails) if fails else Valid("tokens", name, code)


def _parameters(name, slip, total, head="0 if config.tied_head else V * C", **fails):
    code = f"""
def count_parameters(config):
    V, T, L, C = config.vocab_size, config.context, config.n_layer, config.n_embd
    return {total} + ({head})
"""
    fails = dict.fromkeys((COURSE, SHAPE), slip) if slip else fails.get("fails")
    return Mutant("parameters", name, code, fails) if fails else Valid("parameters", name, code)


def _log(name, fails, body):
    code = "def read_log(text):\n    " + "\n    ".join(body.strip().splitlines())
    return Mutant("read-log", name, code, fails) if fails else Valid("read-log", name, code)


def _gradient(name, fails, *questions, find="next((r for r in records if r['step'] == 0), {})"):
    lines = [
        "def first_gradient(records):",
        f"norm = {find}.get('grad_norm')",
        "if norm is None: return 'not measured'",
        *(questions or QUESTIONS),
    ]
    code = "\n    ".join(lines)
    return Mutant("first-gradient", name, code, fails) if fails else Valid("first-gradient", name, code)


QUESTIONS = (
    "if norm > 100 or norm < 0.001: return 'fail'",
    "if norm > 10 or norm < 0.1: return 'warn'",
    "return 'pass'",
)
ALL = "V * C + T * C + L * (12 * C * C + 2 * C) + C"

ANSWERS = [
    # 1
    _tokens("list", {}, back="[step, run]"),
    _tokens("tensor", {}, back="torch.tensor([step, run])"),
    _tokens("sequences", dict.fromkeys((STEP, ACCUMULATION), "context-forgotten"), step="a * b"),
    _tokens("one-sequence", dict.fromkeys((STEP, ACCUMULATION), "batch-forgotten"), step="b * c"),
    _tokens("one-portion", {ACCUMULATION: "accumulation-forgotten"}, step="a * c"),
    _tokens("divided", {ACCUMULATION: "accumulation-divides"}, step="a * c / b"),
    _tokens("one-more", dict.fromkeys((STEP, ACCUMULATION), "step-off"), step="a * b * (c + 1)"),
    _tokens(
        "other-way-round",
        {STEP: "whole-run-first", ACCUMULATION: "whole-run-first", RUN: "run-first"},
        back="run, step",
    ),
    _tokens("same-twice", {RUN: "run-is-a-step"}, run="step"),
    _tokens("accumulated-twice", {RUN: "run-in-micro-batches"}, run="step * config.steps * b"),
    _tokens("steps-as-portions", {RUN: "run-shared-out"}, run="step * config.steps / b"),
    _tokens("last-step", {RUN: "run-one-short"}, run="step * (config.steps - 1)"),
    _tokens("plus", {RUN: "run-off"}, run="step + config.steps"),
    _tokens("one-number", dict.fromkeys(TOKENS, "check.wrong-shape"), back="step"),
    # 2
    Valid(
        "parameters",
        "built",
        """
def count_parameters(config):
    with torch.device("meta"):
        return sum(weight.numel() for weight in build_model(config).parameters())
""",
    ),
    _parameters("other-order", "", "C * (V + T + 1 + L * (2 + 3 * C + C + 4 * C + 4 * C))"),
    _parameters("head-too", "head-counted-twice", ALL + " + V * C"),
    _parameters("no-positions", "positions-forgotten", ALL + " - T * C"),
    _parameters(
        "no-embedding",
        "",
        ALL + " - V * C",
        fails={COURSE: "count-off", SHAPE: "embedding-forgotten"},
    ),
    _parameters("no-norms", "norms-forgotten", "V * C + T * C + L * 12 * C * C"),
    _parameters("no-last-norm", "last-norm-forgotten", ALL + " - C"),
    _parameters("one-norm", "one-norm-a-block", ALL + " - L * C"),
    _parameters("first-block", "one-block", "V * C + T * C + 12 * C * C + 2 * C + C"),
    _parameters("three-c", "projection-forgotten", ALL + " - L * C * C"),
    _parameters("square", "one-projection-for-three", ALL + " - 2 * L * C * C"),
    _parameters("up-only", "", ALL + " - 4 * L * C * C", fails={COURSE: "count-off", SHAPE: "mlp-one-way"}),
    _parameters("with-biases", "biases-counted", ALL + " + 11 * L * C + C"),
    _parameters("three-more", "count-off", ALL + " + 3 * L * C * C"),
    _parameters("written-down", "", "135488", fails={SHAPE: "ignores-the-config"}),
    _parameters("always-tied", "", ALL, head="0", fails={HEAD: "head-ignored"}),
    _parameters(
        "other-case",
        "",
        ALL,
        head="V * C if config.tied_head else 0",
        fails={COURSE: "head-counted-twice", SHAPE: "head-counted-twice", HEAD: "head-the-wrong-way-round"},
    ),
    _parameters("square-head", "", ALL, head="0 if config.tied_head else C * C", fails={HEAD: "head-off"}),
    # 3
    _log(
        "last-apart",
        {},
        """
lines = text.splitlines()
found = [json.loads(line) for line in lines[:-1]]
try:
    found += [json.loads(line) for line in lines[-1:]]
except ValueError:
    pass
return found
""",
    ),
    _log(
        "generator",
        {},
        """
lines = text.split("\\n")
while lines and not lines[-1]:
    lines.pop()
for line in lines:
    try:
        yield json.loads(line)
    except json.JSONDecodeError:
        if line is not lines[-1]:
            raise
""",
    ),
    _log("no-care", {TORN: "torn-line-stops"}, "return [json.loads(line) for line in text.splitlines()]"),
    _log(
        "always-drops",
        {WHOLE: "lines-lost", LAST: "whole-line-dropped"},
        "return [json.loads(line) for line in text.splitlines()[:-1]]",
    ),
    _log(
        "up-to-the-break",
        {LAST: "whole-line-dropped"},
        "return [json.loads(line) for line in text.split('\\n')[:-1]]",
    ),
    _log(
        "swallows",
        {DAMAGED: "damage-passed-over"},
        """
found = []
for line in text.splitlines():
    try:
        found.append(json.loads(line))
    except ValueError:
        pass
return found
""",
    ),
    _log(
        "empty-dict",
        {TORN: "torn-line-kept", DAMAGED: "damage-passed-over"},
        """
found = []
for line in text.splitlines():
    try:
        found.append(json.loads(line))
    except ValueError:
        found.append({})
return found
""",
    ),
    _log(
        "two-fewer",
        {TORN: "more-than-the-torn-line"},
        """
lines = text.splitlines()
try:
    return [json.loads(line) for line in lines]
except ValueError:
    return [json.loads(line) for line in lines[:-2]]
""",
    ),
    _log(
        "texts",
        dict.fromkeys((WHOLE, TORN, LAST), "no-dicts") | {DAMAGED: "damage-passed-over"},
        "return text.splitlines()",
    ),
    _log("no-return", dict.fromkeys(LOG, "check.returned-none"), "[line for line in text.splitlines()]"),
    # 4
    _gradient("questions", {}),
    _gradient(
        "bands",
        {},
        "bands = {(0.1, 10): 'pass', (0.001, 100): 'warn'}",
        "return next((word for (low, high), word in bands.items() if low <= norm <= high), 'fail')",
    ),
    _gradient(
        "last-record",
        {
            HEALTHY: "other-steps",
            ODD: "odd-passes",
            BROKEN: "large-let-through",
            NOT_MEASURED: "begins-later",
        },
        find="records[-1]",
    ),
    _gradient("first-record", {NOT_MEASURED: "begins-later"}, find="records[0]"),
    _gradient(
        "no-lower-limit",
        {ODD: "small-passes", BROKEN: "small-let-through"},
        "return 'fail' if norm > 100 else 'warn' if norm > 10 else 'pass'",
    ),
    _gradient("two-words", {ODD: "odd-refused"}, "return 'pass' if 0.1 <= norm <= 10 else 'fail'"),
    _gradient("no-warning", {ODD: "odd-passes"}, "return 'pass' if 0.001 <= norm <= 100 else 'fail'"),
    _gradient(
        "narrow", {HEALTHY: "healthy-refused"}, QUESTIONS[0], "return 'pass' if 1 <= norm <= 10 else 'warn'"
    ),
    _gradient("own-words", {HEALTHY: "not-a-verdict"}, *QUESTIONS[:2], "return 'fine'"),
    _gradient(
        "step-0-taken-for-granted",
        {NOT_MEASURED: "check.raised-at"},
        find="[r for r in records if r['step'] == 0][0]",
    ),
    _gradient(
        "made-up-norm",
        {NOT_MEASURED: "no-norm"},
        find="next(({'grad_norm': 1.0} | r for r in records if r['step'] == 0), {})",
    ),
]
