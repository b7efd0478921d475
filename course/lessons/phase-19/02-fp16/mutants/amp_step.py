"""Right and wrong answers to `amp-step`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

UPDATE, TWICE, CLIP, NORM, OVERFLOW = (
    f"amp-step/{aspect}" for aspect in ("update", "twice", "clip", "norm", "overflow")
)
CUT = "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)"


def _answer(*lines):
    body = "\n    ".join(lines)
    return f"\ndef amp_step(model, optimizer, scaler, loss, max_norm):\n    {body}\n"


START = ("optimizer.zero_grad()", "scaler.scale(loss(model)).backward()")

ANSWERS = [
    Valid(
        "amp-step",
        "asks-itself",
        """
def amp_step(model, optimizer, scaler, loss, max_norm):
    scaler.scale(loss(model)).backward()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()
    if math.isfinite(norm):
        scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return norm
""",
    ),
    Valid(
        "amp-step",
        "clips-by-hand",
        """
def amp_step(model, optimizer, scaler, loss, max_norm):
    optimizer.zero_grad()
    scaler.scale(loss(model)).backward()
    scaler.unscale_(optimizer)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))
    for g in gradients:
        g.mul_(torch.clamp(max_norm / norm, max=1.0))
    scaler.step(optimizer)
    scaler.update()
    return norm
""",
    ),
    Mutant(
        "amp-step",
        "the-published-repair",
        _answer(
            *START,
            "scaler.unscale_(optimizer)",
            CUT,
            "if not torch.isfinite(norm):\n        optimizer.zero_grad()\n        return norm",
            "scaler.step(optimizer)",
            "scaler.update()",
            "return norm",
        ),
        {OVERFLOW: "scaler-refuses"},
    ),
    Mutant(
        "amp-step",
        "clip-before-unscale",
        _answer(*START, CUT, "scaler.step(optimizer)", "scaler.update()", "return norm"),
        {
            UPDATE: "unscaled-late",
            TWICE: "unscaled-late",
            CLIP: "unscaled-late",
            NORM: "norm-scaled",
            OVERFLOW: "unscaled-late",
        },
    ),
    Mutant(
        "amp-step",
        "optimizer-step",
        _answer(*START, CUT, "optimizer.step()", "return norm"),
        {
            UPDATE: "clipped-scaled",
            TWICE: "clipped-scaled",
            CLIP: "clipped-scaled",
            NORM: "norm-scaled",
            OVERFLOW: "stepped-on-infinity",
        },
    ),
    Mutant(
        "amp-step",
        "steps-in-any-case",
        _answer(
            *START, "scaler.unscale_(optimizer)", CUT, "optimizer.step()", "scaler.update()", "return norm"
        ),
        {OVERFLOW: "stepped-on-infinity"},
    ),
    Mutant(
        "amp-step",
        "no-update",
        _answer(*START, "scaler.unscale_(optimizer)", CUT, "scaler.step(optimizer)", "return norm"),
        {TWICE: "scaler-refuses", OVERFLOW: "scaler-refuses"},
    ),
    Mutant(
        "amp-step",
        "not-cleared",
        _answer(
            START[1],
            "scaler.unscale_(optimizer)",
            CUT,
            "scaler.step(optimizer)",
            "scaler.update()",
            "return norm",
        ),
        {TWICE: "left-over", OVERFLOW: "left-over"},
    ),
    Mutant(
        "amp-step",
        "norm-after",
        _answer(
            *START,
            "scaler.unscale_(optimizer)",
            CUT,
            "scaler.step(optimizer)",
            "scaler.update()",
            "return torch.sqrt(sum((p.grad**2).sum() for p in model.parameters()))",
        ),
        {NORM: "norm-after"},
    ),
    Mutant(
        "amp-step",
        "not-clipped",
        _answer(
            *START,
            "scaler.unscale_(optimizer)",
            "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), float('inf'))",
            "scaler.step(optimizer)",
            "scaler.update()",
            "return norm",
        ),
        {CLIP: "not-clipped"},
    ),
]
