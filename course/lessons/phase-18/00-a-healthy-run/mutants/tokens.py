"""Right and wrong answers to `tokens`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

STEP, ACCUMULATION, RUN = TOKENS = [f"tokens/{aspect}" for aspect in ("step", "accumulation", "run")]


def _tokens(name, fails, step="a * b * c", run="step * config.steps", back="step, run"):
    code = f"""
def tokens(config):
    a, b, c = config.batch_size, config.accumulation, config.context
    step = {step}
    run = {run}
    return {back}
"""
    return Mutant("tokens", name, code, fails) if fails else Valid("tokens", name, code)


ANSWERS = [
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
    _tokens("nothing", dict.fromkeys(TOKENS, "step-off"), step="0.0"),
    _tokens("same-twice", {RUN: "run-is-a-step"}, run="step"),
    _tokens("accumulated-twice", {RUN: "run-in-micro-batches"}, run="step * config.steps * b"),
    _tokens("steps-as-portions", {RUN: "run-shared-out"}, run="step * config.steps / b"),
    _tokens("last-step", {RUN: "run-one-short"}, run="step * (config.steps - 1)"),
    _tokens("plus", {RUN: "run-off"}, run="step + config.steps"),
    _tokens("one-number", dict.fromkeys(TOKENS, "check.wrong-shape"), back="step"),
]
