"""Right and wrong answers to `read-log`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

WHOLE, TORN, LAST, DAMAGED = LOG = [
    f"read-log/{aspect}" for aspect in ("whole", "torn", "last-line", "damaged")
]


def _log(name, fails, body):
    code = "def read_log(text):\n    " + "\n    ".join(body.strip().splitlines())
    return Mutant("read-log", name, code, fails) if fails else Valid("read-log", name, code)


ANSWERS = [
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
        "backwards",
        {},
        """
lines, found = text.split("\\n"), []
while lines and not lines[-1]:
    lines.pop()
for line in lines:
    try:
        found.append(json.loads(line))
    except json.JSONDecodeError:
        if line is not lines[-1]:
            raise
return tuple(found)
""",
    ),
    _log(
        "generator",
        dict.fromkeys(LOG, "no-dicts"),
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
        {TORN: "more-than-the-torn-line", DAMAGED: "damage-passed-over"},
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
        dict.fromkeys(LOG, "no-dicts"),
        "return text.splitlines()",
    ),
    _log("no-return", dict.fromkeys(LOG, "check.returned-none"), "[line for line in text.splitlines()]"),
    _log(
        "last-line-only",
        {WHOLE: "lines-lost", TORN: "torn-line-stops", LAST: "lines-differ", DAMAGED: "damage-passed-over"},
        """
lines = text.splitlines()
try:
    return [json.loads(line) for line in lines[-1:]]
except ValueError:
    return []
""",
    ),
    _log(
        "forgives-two-lines",
        {DAMAGED: "damage-passed-over"},
        """
lines, found = text.splitlines(), []
for number, line in enumerate(lines, start=1):
    try:
        found.append(json.loads(line))
    except ValueError:
        if number < len(lines) - 1:
            raise
return found
""",
    ),
    _log(
        "forgives-the-first-line",
        {DAMAGED: "damage-passed-over"},
        """
lines, found = text.splitlines(), []
for number, line in enumerate(lines):
    try:
        found.append(json.loads(line))
    except ValueError:
        if 0 < number < len(lines) - 1:
            raise
return found
""",
    ),
]
