"""Right and wrong answers to `looks-ahead`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

OPEN, CAUSAL, NARROW, WEAK, TIDY = (
    f"looks-ahead/{aspect}" for aspect in ("open", "causal", "narrow", "weak", "tidy")
)


def _ahead(
    positions="range(1, tokens.shape[1])",
    before="model.eval()",
    after="model.train(training)",
    apart="not torch.equal(model(other)[:, :s], logits[:, :s])",
):
    return f"""
def looks_ahead(model, tokens):
    training, found = model.training, False
    {before}
    with torch.no_grad():
        logits = model(tokens)
        for s in {positions}:
            other = tokens.clone()
            other[:, s] = (other[:, s] + 1) % model.wte.num_embeddings
            if {apart}:
                found = True
    {after}
    return found
"""


BY_GRADIENT = """
def looks_ahead(model, tokens):
    caught = []
    def catch(module, inputs, output):
        caught.append(output.detach().requires_grad_())
        return caught[-1]
    handle = model.wte.register_forward_hook(catch)
    logits = model(tokens)
    handle.remove()
    for t in range(tokens.shape[1] - 1):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), caught[0], retain_graph=True)
        if (gradient[:, t + 1 :] != 0).any():
            return True
    return False
"""

ANSWERS = [
    Valid("looks-ahead", "by-gradient", BY_GRADIENT),
    Valid(
        "looks-ahead",
        "new-futures",
        """
@torch.no_grad()
def looks_ahead(model, tokens):
    training = model.training
    model.eval()
    V, T = model.wte.num_embeddings, tokens.shape[1]
    logits, worst = model(tokens), 0.0
    for t in range(T - 1):
        other = torch.cat([tokens[:, : t + 1], (tokens[:, t + 1 :] + 1) % V], 1)
        worst = max(worst, (model(other)[:, t] - logits[:, t]).abs().max().item())
    model.train(training)
    return worst > 1e-6
""",
    ),
    Mutant(
        "looks-ahead",
        "own-token",
        _ahead(apart="not torch.equal(model(other)[:, : s + 1], logits[:, : s + 1])"),
        {
            **dict.fromkeys((OPEN, NARROW, WEAK), "check.same-for-all"),
            CAUSAL: "false-alarm",
            TIDY: "dropout-accused",
        },
    ),
    Mutant("looks-ahead", "last-token-only", _ahead("[tokens.shape[1] - 1]"), {NARROW: "pair-missed"}),
    Mutant("looks-ahead", "first-later-only", _ahead("[1]"), {NARROW: "pair-missed"}),
    Mutant(
        "looks-ahead",
        "coarse",
        _ahead(apart="(model(other)[:, :s] - logits[:, :s]).abs().max() > 0.05"),
        {WEAK: "too-coarse"},
    ),
    Mutant("looks-ahead", "dropout-on", _ahead(before="pass"), {TIDY: "dropout-accused"}),
    Mutant("looks-ahead", "always-train", _ahead(after="model.train()"), {TIDY: "mode-changed"}),
    Mutant(
        "looks-ahead",
        "zero-for-another",
        _ahead().replace("(other[:, s] + 1) % model.wte.num_embeddings", "0"),
        {NARROW: "pair-missed"},
    ),
    Mutant(
        "looks-ahead",
        "swaps-in-place",
        _ahead("range(tokens.shape[1] - 1, 0, -1)").replace("tokens.clone()", "tokens"),
        {TIDY: "tokens-changed"},
    ),
    Mutant("looks-ahead", "left-in-eval", _ahead(after="pass"), {TIDY: "mode-not-restored"}),
    Mutant(
        "looks-ahead",
        "backward",
        BY_GRADIENT.replace(
            "(gradient,) = torch.autograd.grad(logits[:, t].square().sum(), caught[0], retain_graph=True)",
            "caught[0].grad = None\n"
            "        logits[:, t].square().sum().backward(retain_graph=True)\n"
            "        gradient = caught[0].grad",
        ),
        {TIDY: "gradients-left"},
    ),
    Mutant(
        "looks-ahead",
        "upside-down",
        _ahead().replace("return found", "return not found"),
        {
            **dict.fromkeys((OPEN,), "leak-missed"),
            CAUSAL: "false-alarm",
            NARROW: "pair-missed",
            WEAK: "too-coarse",
            TIDY: "dropout-accused",
        },
    ),
    Mutant(
        "looks-ahead",
        "how-much",
        _ahead().replace("found = True", "found = 0.37"),
        dict.fromkeys((OPEN, NARROW, WEAK), "not-a-bool"),
    ),
    Mutant(
        "looks-ahead",
        "writes-into-the-model",
        _ahead().replace("logits = model(tokens)", "model.wte.weight.add_(1.0); logits = model(tokens)"),
        {TIDY: "weights-moved"},
    ),
]
