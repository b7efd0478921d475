"""Right and wrong answers to lesson 18-01; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

VALUE, ANY, ONE = (f"expected-loss/{aspect}" for aspect in ("course", "any", "one"))
HEALTHY, HIGH, LOW, NAN = (f"start-verdict/{aspect}" for aspect in ("healthy", "high", "low", "nan"))
MATRICES, RESIDUAL, GAINS, BIASES = (
    f"init-weights/{aspect}" for aspect in ("matrices", "residual", "gains", "biases")
)
FULL, PADDING, EMPTY, LEAK, GRADIENT = (
    f"masked-mean/{aspect}" for aspect in ("full", "padding", "empty", "leak", "gradient")
)


def _expected(expression):
    return f"def expected_loss(vocab_size):\n    return {expression}"


def _verdict(*lines):
    return "\n    ".join(("def start_verdict(loss, vocab_size):", *lines))


BANDS = (
    'if delta < -0.5: return "too-low"',
    'if delta <= 0.5: return "pass"',
    'if delta <= 1.76: return "warn"',
    'return "too-high"',
)
DELTA = "delta = loss - math.log(vocab_size)"
UNKNOWN = 'if math.isnan(loss): return "unknown"'


def _init(matrix="w.normal_(std=0.02)", residual=None, gain="w.fill_(1)", bias="w.zero_()"):
    residual = residual or "w.normal_(std=0.02 / (2 * config.n_layer) ** 0.5)"
    return f"""
def init_weights(model, config):
    with torch.no_grad():
        for name, w in model.named_parameters():
            if name.endswith("bias"):
                {bias}
            elif "ln_" in name:
                {gain}
            elif "c_proj" in name:
                {residual}
            else:
                {matrix}
"""


def _masked(*lines):
    return "\n    ".join(("def masked_mean(losses, mask):", *lines))


ANSWERS = [
    # 1a
    Valid("expected-loss", "minus-log-of-probability", _expected("-math.log(1 / vocab_size)")),
    Valid("expected-loss", "torch", _expected("torch.log(torch.tensor(float(vocab_size)))")),
    Valid("expected-loss", "numpy", _expected("np.log(vocab_size)")),
    Valid(
        "expected-loss",
        "cross-entropy",
        _expected("F.cross_entropy(torch.zeros(1, vocab_size), torch.tensor([0]))"),
    ),
    Mutant("expected-loss", "bits", _expected("math.log2(vocab_size)"), {VALUE: "in-bits", ANY: "in-bits"}),
    Mutant(
        "expected-loss",
        "decades",
        _expected("math.log10(vocab_size)"),
        {VALUE: "in-decades", ANY: "in-decades"},
    ),
    Mutant(
        "expected-loss",
        "log-probability",
        _expected("math.log(1 / vocab_size)"),
        {VALUE: "minus-sign", ANY: "minus-sign"},
    ),
    Mutant(
        "expected-loss",
        "probability",
        _expected("1 / vocab_size"),
        {VALUE: "a-probability", ANY: "a-probability", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "perplexity",
        _expected("vocab_size"),
        {VALUE: "a-perplexity", ANY: "a-perplexity", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "constant",
        _expected("math.log(512)"),
        {ANY: "ignores-vocabulary", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "square-root",
        _expected("math.sqrt(vocab_size)"),
        {VALUE: "not-ln-v", ANY: "not-ln-v", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "no-return",
        "def expected_loss(vocab_size):\n    math.log(vocab_size)",
        dict.fromkeys((VALUE, ANY, ONE), "check.returned-none"),
    ),
    # 1b
    Valid("start-verdict", "chain", _verdict(DELTA, UNKNOWN, *BANDS)),
    Valid(
        "start-verdict",
        "unknown-last",
        _verdict(
            DELTA,
            'if delta > 1.76: return "too-high"',
            'if delta > 0.5: return "warn"',
            'if delta >= -0.5: return "pass"',
            'return "too-low" if delta < -0.5 else "unknown"',
        ),
    ),
    Mutant("start-verdict", "no-nan", _verdict(DELTA, *BANDS), {NAN: "nan-named"}),
    Mutant(
        "start-verdict",
        "nan-falls-through",
        _verdict(
            DELTA,
            'if delta < -0.5: return "too-low"',
            'if delta > 1.76: return "too-high"',
            'return "warn" if delta > 0.5 else "pass"',
        ),
        {NAN: "nan-passes"},
    ),
    Mutant(
        "start-verdict",
        "limits-of-512",
        _verdict(
            UNKNOWN,
            'if loss < 5.738: return "too-low"',
            'if loss <= 6.738: return "pass"',
            'return "warn" if loss <= 7.998 else "too-high"',
        ),
        dict.fromkeys((HEALTHY, HIGH, LOW), "fixed-limits"),
    ),
    Mutant(
        "start-verdict",
        "absolute",
        _verdict(
            UNKNOWN,
            "delta = abs(loss - math.log(vocab_size))",
            'if delta <= 0.5: return "pass"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {LOW: "low-is-not-high"},
    ),
    Mutant(
        "start-verdict",
        "only-high",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta <= 0.5: return "pass"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {LOW: "low-is-not-fine"},
    ),
    Mutant(
        "start-verdict",
        "no-warning",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < -0.5: return "too-low"',
            'return "pass" if delta <= 1.76 else "too-high"',
        ),
        {HIGH: "high-let-through"},
    ),
    Mutant(
        "start-verdict",
        "no-tolerance",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < 0: return "too-low"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {HEALTHY: "chance-refused"},
    ),
    Mutant(
        "start-verdict",
        "never-warns",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < -0.5: return "too-low"',
            'return "pass" if delta <= 0.5 else "too-high"',
        ),
        {HIGH: "wrong-band"},
    ),
    Mutant(
        "start-verdict",
        "own-words",
        _verdict(UNKNOWN, DELTA, 'return "ok" if abs(delta) <= 0.5 else "bad"'),
        dict.fromkeys((HEALTHY, HIGH, LOW), "not-a-verdict"),
    ),
    # 2
    Valid("init-weights", "in-place-methods", _init()),
    Valid(
        "init-weights",
        "by-module",
        """
def init_weights(model, config):
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            std = 0.02 * ((2 * config.n_layer) ** -0.5 if name.endswith("c_proj") else 1)
            torch.nn.init.trunc_normal_(module.weight, std=std)
        if getattr(module, "bias", None) is not None:
            module.bias.data = torch.zeros(module.bias.shape)
""",
    ),
    Valid(
        "init-weights",
        "copy",
        _init(
            matrix="w.copy_(config.init_std * torch.randn_like(w))",
            residual="w.copy_(config.init_std * torch.randn_like(w) / math.sqrt(2 * config.n_layer))",
            gain="w.copy_(torch.ones_like(w))",
            bias="w.mul_(0)",
        ),
    ),
    Mutant(
        "init-weights",
        "unit",
        _init("w.normal_()", "w.normal_().div_((2 * config.n_layer) ** 0.5)"),
        {MATRICES: "std-is-one"},
    ),
    Mutant(
        "init-weights",
        "variance",
        _init("w.normal_(std=0.02 ** 0.5)", "w.normal_(std=(0.02 / (2 * config.n_layer)) ** 0.5)"),
        {MATRICES: "std-is-variance"},
    ),
    Mutant(
        "init-weights",
        "bound",
        _init("w.uniform_(-0.02, 0.02)", "w.uniform_(-0.02, 0.02).div_((2 * config.n_layer) ** 0.5)"),
        {MATRICES: "std-is-bound"},
    ),
    Mutant(
        "init-weights",
        "kaiming",
        _init(
            "torch.nn.init.kaiming_normal_(w)",
            "w.normal_(std=(2 / config.n_embd) ** 0.5 / (2 * config.n_layer) ** 0.5)",
        ),
        {MATRICES: "std-by-fan-in"},
    ),
    Mutant(
        "init-weights",
        "too-narrow",
        _init("w.normal_(std=0.002)", "w.normal_(std=0.002 / (2 * config.n_layer) ** 0.5)"),
        {MATRICES: "std-off"},
    ),
    Mutant(
        "init-weights",
        "constant",
        _init("w.fill_(0.02)"),
        {MATRICES: "matrix-constant", RESIDUAL: "residual-off"},
    ),
    Mutant("init-weights", "shifted", _init("w.normal_(mean=0.02, std=0.02)"), {MATRICES: "mean-off"}),
    Mutant(
        "init-weights",
        "new-tensors",
        _init("w = torch.randn_like(w) * 0.02", "w = torch.randn_like(w) * 0.005"),
        {MATRICES: "matrix-untouched", RESIDUAL: "matrix-untouched"},
    ),
    Mutant(
        "init-weights",
        "new-head",
        _init() + "        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.wte.weight))",
        {MATRICES: "tie-broken"},
    ),
    Mutant(
        "init-weights",
        "no-residual-scale",
        _init(residual="w.normal_(std=0.02)"),
        {RESIDUAL: "residual-not-scaled"},
    ),
    Mutant(
        "init-weights",
        "one-write-a-block",
        _init(residual="w.normal_(std=0.02 / config.n_layer ** 0.5)"),
        {RESIDUAL: "residual-one-write"},
    ),
    Mutant(
        "init-weights",
        "no-root",
        _init(residual="w.normal_(std=0.02 / (2 * config.n_layer))"),
        {RESIDUAL: "residual-no-root"},
    ),
    Mutant(
        "init-weights",
        "two-layers",
        _init(residual="w.normal_(std=0.01)"),
        {RESIDUAL: "residual-for-two-layers"},
    ),
    Mutant(
        "init-weights",
        "attention-only",
        _init().replace('"c_proj" in name', '"attn.c_proj" in name'),
        {RESIDUAL: "residual-only-one"},
    ),
    Mutant("init-weights", "wider", _init(residual="w.normal_(std=0.06)"), {RESIDUAL: "residual-off"}),
    Mutant("init-weights", "gains-forgotten", _init(gain="pass"), {GAINS: "gain-untouched"}),
    Mutant("init-weights", "gains-drawn", _init(gain="w.normal_(std=0.02)"), {GAINS: "gain-drawn"}),
    Mutant("init-weights", "gains-zero", _init(gain="w.zero_()"), {GAINS: "gain-zero"}),
    Mutant(
        "init-weights", "gains-around-one", _init(gain="w.normal_(mean=1, std=0.02)"), {GAINS: "gain-off"}
    ),
    Mutant("init-weights", "biases-forgotten", _init(bias="pass"), {BIASES: "bias-untouched"}),
    Mutant("init-weights", "biases-drawn", _init(bias="w.normal_(std=0.02)"), {BIASES: "bias-drawn"}),
    Mutant("init-weights", "biases-one", _init(bias="w.fill_(1)"), {BIASES: "bias-one"}),
    Mutant(
        "init-weights",
        "head-bias-forgotten",
        _init(bias='w.zero_() if "lm_head" not in name else None'),
        {BIASES: "head-bias-left"},
    ),
    Mutant(
        "init-weights",
        "head-bias-dropped",
        _init() + "        model.lm_head.bias = None",
        {BIASES: "head-bias-removed"},
    ),
    # 3
    Valid("masked-mean", "indexing", _masked("return losses[mask].sum() / max(int(mask.sum()), 1)")),
    Valid(
        "masked-mean",
        "masked-fill",
        _masked("return losses.masked_fill(~mask, 0.0).sum() / torch.clamp(mask.sum(), min=1)"),
    ),
    Valid(
        "masked-mean",
        "early-return",
        _masked("if not mask.any(): return losses[mask].sum()", "return losses[mask].mean()"),
    ),
    Mutant(
        "masked-mean",
        "plain-mean",
        _masked("return losses.mean()"),
        {
            PADDING: "mask-ignored",
            EMPTY: "empty-not-zero",
            LEAK: "masked-nan-leaks",
            GRADIENT: "gradient-on-padding",
        },
    ),
    Mutant(
        "masked-mean",
        "sum",
        _masked("return losses[mask].sum()"),
        {FULL: "sum-not-mean", PADDING: "sum-not-mean"},
    ),
    Mutant(
        "masked-mean",
        "over-every-position",
        _masked("return torch.where(mask, losses, 0.0).mean()"),
        {PADDING: "divides-by-all"},
    ),
    Mutant(
        "masked-mean",
        "over-batch",
        _masked("return losses[mask].sum() / len(losses)"),
        {FULL: "divides-by-batch", PADDING: "divides-by-batch"},
    ),
    Mutant(
        "masked-mean",
        "over-length",
        _masked("return losses[mask].sum() / losses.shape[1]"),
        {FULL: "divides-by-length", PADDING: "divides-by-length"},
    ),
    Mutant(
        "masked-mean",
        "mean-of-means",
        _masked(
            "kept = torch.where(mask, losses, 0.0).sum(1)", "return (kept / mask.sum(1).clamp(min=1)).mean()"
        ),
        {PADDING: "mean-of-means"},
    ),
    Mutant(
        "masked-mean",
        "plus-one",
        _masked("return losses[mask].sum() / (mask.sum() + 1)"),
        {FULL: "one-too-many", PADDING: "one-too-many"},
    ),
    Mutant(
        "masked-mean",
        "inverted",
        _masked("return losses[~mask].sum() / (~mask).sum().clamp(min=1)"),
        {
            FULL: "mean-off-target",
            PADDING: "mask-inverted",
            EMPTY: "empty-not-zero",
            LEAK: "masked-nan-leaks",
            GRADIENT: "gradient-on-padding",
        },
    ),
    Mutant(
        "masked-mean",
        "no-guard",
        _masked("return losses[mask].mean()"),
        {EMPTY: "empty-gives-nan"},
    ),
    Mutant(
        "masked-mean",
        "multiplies",
        _masked("return (losses * mask).sum() / mask.sum().clamp(min=1)"),
        {LEAK: "masked-nan-leaks"},
    ),
    Mutant(
        "masked-mean",
        "swallows",
        _masked("return torch.nan_to_num(losses)[mask].sum() / mask.sum().clamp(min=1)"),
        {LEAK: "nan-swallowed"},
    ),
    Mutant(
        "masked-mean",
        "hidden-division",
        _masked(
            "total, count = (losses.nan_to_num() * mask).sum() + losses[mask].sum() * 0, mask.sum()",
            "return torch.where(count > 0, total / count, 0.0)",
        ),
        {GRADIENT: "gradient-not-finite"},
    ),
    Mutant(
        "masked-mean",
        "made-up-zero",
        _masked("return losses[mask].mean() if mask.any() else torch.tensor(0.0)"),
        {GRADIENT: "empty-cut-off"},
    ),
    Mutant(
        "masked-mean",
        "item",
        _masked("return losses[mask].sum().item() / max(mask.sum().item(), 1)"),
        {GRADIENT: "cut-off"},
    ),
    Mutant(
        "masked-mean",
        "detached",
        _masked("return losses.detach()[mask].sum() / mask.sum().clamp(min=1)"),
        {GRADIENT: "cut-off"},
    ),
]
