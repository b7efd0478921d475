"""Right and wrong answers to `inspect-run`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

VALUES, DUE, LEAVES, QUIET = (f"inspect-run/{aspect}" for aspect in ("values", "due", "leaves", "quiet"))


def _inspect(
    value="output.square().mean().sqrt().item()",
    due="step % every == 0",
    leaves="not list(module.children())",
    remove="for handle in handles:\n            handle.remove()",
    begin="pass",
):
    return f"""
def inspect_run(model, batches, every):
    records = {{}}
    {begin}

    def watch(name, found):
        def hook(module, given, output):
            found[name] = {value}
        return hook

    for step, batch in enumerate(batches):
        handles = []
        if {due}:
            found = records[step] = {{}}
            for name, module in model.named_modules():
                if {leaves}:
                    handles.append(module.register_forward_hook(watch(name, found)))
        model(batch)
        {remove}
    return records
"""


ANSWERS = [
    Valid("inspect-run", "hooks-for-a-step", _inspect()),
    Valid("inspect-run", "norm-over-root", _inspect("float(output.norm()) / output.numel() ** 0.5")),
    Mutant("inspect-run", "std", _inspect("output.std().item()"), {VALUES: "std-not-rms"}),
    Mutant("inspect-run", "sizes", _inspect("output.abs().mean().item()"), {VALUES: "mean-of-sizes"}),
    Mutant("inspect-run", "norm", _inspect("output.norm().item()"), {VALUES: "norm-not-rms"}),
    Mutant("inspect-run", "no-root", _inspect("output.square().mean().item()"), {VALUES: "no-root"}),
    Mutant("inspect-run", "always", _inspect(due="True"), {DUE: "steps-off", QUIET: "hooks-when-not-due"}),
    Mutant(
        "inspect-run",
        "one-later",
        _inspect(due="(step + 1) % every == 0"),
        {DUE: "steps-off", QUIET: "hooks-when-not-due"},
    ),
    Mutant("inspect-run", "in-evaluation-mode", _inspect(begin="model.eval()"), {QUIET: "mode-changed"}),
    Mutant("inspect-run", "every-module", _inspect(leaves="True"), {LEAVES: "not-a-leaf"}),
    Mutant(
        "inspect-run",
        "never-removed",
        _inspect(remove="pass"),
        {VALUES: "rms-off", QUIET: "hooks-when-not-due"},
    ),
    Mutant(
        "inspect-run",
        "tensor-with-graph",
        """
def inspect_run(model, batches, every):
    records = {}
    def note(name, found):
        def hook(module, given, output):
            found[name] = output.square().mean().sqrt()
        return hook
    for step, batch in enumerate(batches):
        placed = []
        if step % every == 0:
            records[step] = {}
            for name, module in model.named_modules():
                if not list(module.children()):
                    placed.append(module.register_forward_hook(note(name, records[step])))
        model(batch)
        for handle in placed:
            handle.remove()
    return records
""",
        {"inspect-run/values": "a-tensor"},
    ),
]
