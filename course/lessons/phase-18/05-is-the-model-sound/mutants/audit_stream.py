"""Right and wrong answers to `audit-stream`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

SIZES, WRITES, DROPOUT, CLEAN = (
    f"audit-stream/{aspect}" for aspect in ("sizes", "writes", "dropout", "clean")
)


def _stream(
    size="output.square().mean().sqrt().item()",
    write="((output - read).square().mean() / read.square().mean()).sqrt().item()",
    before="model.eval()",
    after="model.train(training)",
    remove="handle.remove()",
    run="with torch.no_grad(): model(tokens)",
):
    return f"""
def audit_stream(model, tokens):
    pairs, training = [], model.training
    def look(block, inputs, output):
        read = inputs[0]
        pairs.append(({size}, {write}))
    handles = [block.register_forward_hook(look) for block in model.h]
    {before}
    {run}
    {after}
    for handle in handles:
        {remove}
    return pairs
"""


ANSWERS = [
    Valid(
        "audit-stream",
        "without-hooks",
        """
@torch.no_grad()
def audit_stream(model, tokens):
    training = model.training
    model.eval()
    x, pairs = model.wte(tokens) + model.wpe.weight[: tokens.shape[1]], []
    for block in model.h:
        y = block(x)
        pairs.append([y.pow(2).mean().sqrt(), (y - x).norm() / x.norm()])
        x = y
    model.train(training)
    return torch.tensor(pairs)
""",
    ),
    Mutant("audit-stream", "norms", _stream(size="output.norm().item()"), {SIZES: "a-norm"}),
    Mutant("audit-stream", "mean-squares", _stream(size="output.square().mean().item()"), {SIZES: "no-root"}),
    Mutant(
        "audit-stream",
        "before-the-block",
        _stream(size="read.square().mean().sqrt().item()"),
        {SIZES: "before-the-block", DROPOUT: "with-dropout"},
    ),
    Mutant(
        "audit-stream",
        "plain-mean",
        _stream(size="output.abs().mean().item()"),
        {SIZES: "stream-off", DROPOUT: "with-dropout"},
    ),
    Mutant(
        "audit-stream", "growth", _stream(write="(output.norm() / read.norm()).item()"), {WRITES: "growth"}
    ),
    Mutant(
        "audit-stream",
        "absolute-write",
        _stream(write="(output - read).square().mean().sqrt().item()"),
        {WRITES: "not-relative"},
    ),
    Mutant(
        "audit-stream",
        "by-what-is-left",
        _stream(write="((output - read).norm() / output.norm()).item()"),
        {WRITES: "by-what-is-left"},
    ),
    Mutant("audit-stream", "with-dropout", _stream(before="pass"), {DROPOUT: "with-dropout"}),
    Mutant("audit-stream", "left-in-eval", _stream(after="pass"), {DROPOUT: "mode-not-restored"}),
    Mutant("audit-stream", "always-train", _stream(after="model.train()"), {DROPOUT: "mode-changed"}),
    Mutant("audit-stream", "hooks-stay", _stream(remove="pass"), {CLEAN: "hooks-left"}),
    Mutant(
        "audit-stream",
        "backward",
        _stream(run="model(tokens).sum().backward()"),
        {CLEAN: "gradients-left"},
    ),
    Mutant(
        "audit-stream",
        "sizes-alone",
        _stream().replace("return pairs", "return [size for size, write in pairs]"),
        dict.fromkeys((SIZES, WRITES, DROPOUT, CLEAN), "not-pairs"),
    ),
]
