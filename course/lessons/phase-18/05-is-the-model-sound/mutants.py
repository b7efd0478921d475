"""Right and wrong answers to lesson 18-05; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

HEALTHY, SCALE, RESIDUAL, MEAN = (
    f"audit-weights/{aspect}" for aspect in ("healthy", "scale", "residual", "mean")
)
SIZES, WRITES, DROPOUT, CLEAN = (
    f"audit-stream/{aspect}" for aspect in ("sizes", "writes", "dropout", "clean")
)
OPEN, CAUSAL, NARROW, WEAK, TIDY = (
    f"looks-ahead/{aspect}" for aspect in ("open", "causal", "narrow", "weak", "tidy")
)


def _weights(
    residual="config.init_std / math.sqrt(2 * config.n_layer)",
    skip="p.ndim < 2",
    scale="not 0.8 < p.std() / std < 1.25",
    mean="p.mean().abs() > 5 * p.std() / math.sqrt(p.numel())",
):
    return f"""
def audit_weights(model, config):
    found = {{}}
    for name, p in model.named_parameters():
        if {skip}:
            continue
        std = {residual} if "c_proj" in name else config.init_std
        if {scale}:
            found[name] = "scale"
        elif {mean}:
            found[name] = "mean"
    return found
"""


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
    # 1
    Valid("audit-weights", "in-place-of-a-chain", _weights().replace("elif", "if name not in found and")),
    Valid(
        "audit-weights",
        "numpy",
        """
def audit_weights(model, config):
    found = {}
    for name, p in model.named_parameters():
        w = p.detach().numpy()
        residual = name.endswith("c_proj.weight")
        asked = config.init_std * ((2 * config.n_layer) ** -0.5 if residual else 1)
        if w.ndim > 1:
            if abs(np.log(w.std() / asked)) > np.log(1.25):
                found[name] = "scale"
            elif abs(w.mean()) / (w.std() / w.size**0.5) > 5:
                found[name] = "mean"
    return found
""",
    ),
    Mutant(
        "audit-weights",
        "one-rule-for-all",
        _weights(residual="config.init_std"),
        {
            HEALTHY: "residual-accused",
            SCALE: "residual-accused",
            RESIDUAL: "residual-missed",
            MEAN: "residual-accused",
        },
    ),
    Mutant(
        "audit-weights",
        "one-write-a-block",
        _weights(residual="config.init_std / math.sqrt(config.n_layer)"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "residual-accused"),
    ),
    Mutant(
        "audit-weights",
        "vectors-too",
        _weights(skip="False"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "vector-judged"),
    ),
    Mutant("audit-weights", "only-wide", _weights(scale="p.std() / std > 1.25"), {SCALE: "narrow-missed"}),
    Mutant(
        "audit-weights",
        "only-narrow",
        _weights(scale="p.std() / std < 0.8"),
        {SCALE: "wide-missed", RESIDUAL: "residual-missed"},
    ),
    Mutant(
        "audit-weights",
        "generous",
        _weights(scale="not 0.1 < p.std() / std < 10"),
        {SCALE: "wide-missed", RESIDUAL: "residual-missed"},
    ),
    Mutant("audit-weights", "no-mean", _weights(mean="False"), {MEAN: "mean-missed"}),
    Mutant(
        "audit-weights",
        "mean-without-sign",
        _weights(mean="p.mean() > 5 * p.std() / math.sqrt(p.numel())"),
        {MEAN: "mean-missed"},
    ),
    Mutant("audit-weights", "fixed-limit", _weights(mean="p.mean().abs() > 0.015"), {MEAN: "mean-missed"}),
    Mutant(
        "audit-weights",
        "strict-limit",
        _weights(mean="p.mean().abs() > 0.001"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "noise-accused"),
    ),
    Mutant(
        "audit-weights",
        "list",
        _weights().replace("return found", "return list(found)"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "not-a-dict"),
    ),
    Mutant(
        "audit-weights",
        "booleans",
        _weights().replace('= "scale"', "= True").replace('= "mean"', "= True"),
        dict.fromkeys((SCALE, RESIDUAL, MEAN), "not-a-word"),
    ),
    # 2
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
    # 3
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
        {CAUSAL: "false-alarm", TIDY: "dropout-accused"},
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
