"""Right and wrong answers to `scaler`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

SCALE, UNSCALE, FOUND, BACKOFF, GROWTH = (
    f"scaler/{aspect}" for aspect in ("scale", "unscale", "found", "backoff", "growth")
)


def _answer(
    scaled="loss * self.scale",
    divide="gradient.div_(self.scale)",
    finite="bool(torch.isfinite(gradient).all())",
    seen=None,
    overflow="self.scale *= self.backoff\n            self.good = 0",
    enough="self.good == self.interval",
    grown="self.scale *= self.growth\n                self.good = 0",
):
    return f"""
class Scaler:
    def __init__(self, scale, growth, backoff, interval):
        self.scale, self.growth, self.backoff, self.interval = scale, growth, backoff, interval
        self.good = 0

    def scale_loss(self, loss):
        return {scaled}

    def unscale(self, gradients):
        found = False
        for gradient in gradients:
            {divide}
            {seen or f"found = found or not {finite}"}
        return found

    def update(self, found):
        if found:
            {overflow}
        else:
            self.good += 1
            if {enough}:
                {grown}
        return self.scale
"""


ANSWERS = [
    Valid(
        "scaler",
        "from-the-prose",
        """
class Scaler:
    def __init__(self, scale, growth, backoff, interval):
        self.scale, self.growth, self.backoff, self.interval = scale, growth, backoff, interval
        self.good = 0

    def scale_loss(self, loss):
        return loss * self.scale

    def unscale(self, gradients):
        found = False
        for gradient in gradients:
            gradient.mul_(1 / self.scale)
            found = found or not bool(gradient.isfinite().all())
        return found

    def update(self, found):
        if found:
            self.scale *= self.backoff
            self.good = 0
        else:
            self.good += 1
            if self.good == self.interval:
                self.scale *= self.growth
                self.good = 0
        return self.scale
""",
    ),
    Valid(
        "scaler",
        "counts-down",
        """
class Scaler:
    def __init__(self, scale, growth, backoff, interval):
        self.value = torch.tensor(float(scale))
        self.growth, self.backoff, self.interval = growth, backoff, interval
        self.left = interval

    def scale_loss(self, loss):
        return self.value * loss

    def unscale(self, gradients):
        for gradient in gradients:
            gradient.mul_(1 / self.value)
        return any(not math.isfinite(gradient.sum()) for gradient in gradients)

    def update(self, found):
        self.left = self.interval if found else self.left - 1
        if found:
            self.value = self.value * self.backoff
        elif self.left == 0:
            self.value, self.left = self.value * self.growth, self.interval
        return self.value
""",
    ),
    Mutant("scaler", "divides-the-loss", _answer(scaled="loss / self.scale"), {SCALE: "loss-divided"}),
    Mutant("scaler", "loss-as-it-is", _answer(scaled="loss"), {SCALE: "loss-as-it-was"}),
    Mutant(
        "scaler",
        "new-tensors",
        _answer(divide="gradient = gradient / self.scale"),
        {UNSCALE: "not-in-place"},
    ),
    Mutant(
        "scaler",
        "new-tensors-in-the-list",
        _answer(
            divide="place = next(n for n, other in enumerate(gradients) if other is gradient)\n"
            "            gradients[place] = gradient / self.scale"
        ),
        {UNSCALE: "not-in-place"},
    ),
    Mutant("scaler", "multiplies", _answer(divide="gradient.mul_(self.scale)"), {UNSCALE: "multiplied"}),
    Mutant(
        "scaler",
        "nan-alone",
        _answer(finite="(not bool(torch.isnan(gradient).any()))"),
        {FOUND: "infinity-unseen"},
    ),
    Mutant(
        "scaler",
        "infinity-alone",
        _answer(finite="(not bool(torch.isinf(gradient).any()))"),
        {FOUND: "nan-unseen"},
    ),
    Mutant(
        "scaler",
        "streak-goes-on",
        _answer(overflow="self.scale *= self.backoff"),
        {GROWTH: "streak-not-broken"},
    ),
    Mutant("scaler", "one-late", _answer(enough="self.good > self.interval"), {GROWTH: "growth-one-off"}),
    Mutant(
        "scaler",
        "for-ever",
        _answer(enough="self.good >= self.interval", grown="self.scale *= self.growth"),
        {GROWTH: "grows-for-ever"},
    ),
    Mutant(
        "scaler",
        "at-once",
        _answer(enough="self.good > 0"),
        {BACKOFF: "backoff-off", GROWTH: "grows-at-once"},
    ),
    Mutant(
        "scaler",
        "never-down",
        _answer(overflow="self.good = 0"),
        {BACKOFF: "never-backs-off", GROWTH: "growth-off"},
    ),
    Mutant(
        "scaler",
        "up-on-overflow",
        _answer(overflow="self.scale /= self.backoff\n            self.good = 0"),
        {BACKOFF: "grows-on-overflow", GROWTH: "growth-off"},
    ),
    Mutant("scaler", "loss-in-place", _answer(scaled="loss.mul_(self.scale)"), {SCALE: "loss-overwritten"}),
    Mutant(
        "scaler",
        "returns-at-first",
        _answer(seen="if not gradient.isfinite().all():\n                return True"),
        {UNSCALE: "stops-at-the-first"},
    ),
    Mutant(
        "scaler",
        "last-only",
        _answer(seen="found = not bool(gradient.isfinite().all())"),
        {FOUND: "infinity-unseen"},
    ),
    Mutant(
        "scaler",
        "skips-if-bad",
        _answer(
            divide="if not all(bool(one.isfinite().all()) for one in gradients):\n"
            "                return True\n"
            "            gradient.div_(self.scale)"
        ),
        {UNSCALE: "stops-at-the-first"},
    ),
    Mutant(
        "scaler",
        "above-fp16",
        _answer(finite="bool((gradient.abs() <= 65504).all())"),
        {FOUND: "false-alarm"},
    ),
    Mutant(
        "scaler",
        "modulo",
        _answer(
            overflow="self.scale *= self.backoff\n            self.good += 1",
            enough="self.good % self.interval == 0",
            grown="self.scale *= self.growth",
        ),
        {GROWTH: "growth-off"},
    ),
]
