"""Right and wrong answers to `init-weights`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

MATRICES, RESIDUAL, GAINS, BIASES = (
    f"init-weights/{aspect}" for aspect in ("matrices", "residual", "gains", "biases")
)


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


ANSWERS = [
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
    Valid(
        "init-weights",
        "cut-at-two-standard-deviations",
        _init(
            "torch.nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04)",
            "s = 0.02 / (2 * config.n_layer) ** 0.5; torch.nn.init.trunc_normal_(w, std=s, a=-2*s, b=2*s)",
        ),
    ),
    Valid(
        "init-weights",
        "cut-and-scaled-up-again",
        _init(
            "torch.nn.init.trunc_normal_(w, a=-2, b=2).mul_(0.02 / 0.87962566)",
        ),
    ),
    Mutant(
        "init-weights",
        "a-little-less",
        _init("w.normal_(std=0.018)", "w.normal_(std=0.018 / (2 * config.n_layer) ** 0.5)"),
        {MATRICES: "std-off"},
    ),
    Mutant(
        "init-weights",
        "a-little-less-and-cut",
        _init(
            "torch.nn.init.trunc_normal_(w, std=0.018, a=-0.036, b=0.036)",
            "s = 0.018 / (2 * config.n_layer) ** 0.5; torch.nn.init.trunc_normal_(w, std=s, a=-2*s, b=2*s)",
        ),
        {MATRICES: "std-off"},
    ),
    Mutant(
        "init-weights",
        "one-write-more",
        _init(residual="w.normal_(std=0.02 / (2 * config.n_layer + 1) ** 0.5)"),
        {RESIDUAL: "residual-off"},
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
    Mutant(
        "init-weights",
        "one-seed-for-every-block",
        _init("torch.manual_seed(1); w.normal_(std=0.02)"),
        {MATRICES: "blocks-alike"},
    ),
    Mutant(
        "init-weights",
        "uniform-of-that-spread",
        _init("w.uniform_(-0.02 * 3**0.5, 0.02 * 3**0.5)"),
        {MATRICES: "drawn-uniformly"},
    ),
    Mutant(
        "init-weights",
        "projections-uniform",
        _init(residual="s = 0.02 * (1.5 / config.n_layer) ** 0.5; w.uniform_(-s, s)"),
        {RESIDUAL: "drawn-uniformly"},
    ),
    Mutant(
        "init-weights",
        "projections-off-centre",
        _init(residual="s = 0.02 / (2 * config.n_layer) ** 0.5; w.normal_(mean=s, std=s)"),
        {RESIDUAL: "mean-off"},
    ),
    Mutant(
        "init-weights",
        "projections-of-one-seed",
        _init(
            residual="g = torch.Generator().manual_seed(1)\n"
            "                w.normal_(std=0.02 / (2 * config.n_layer) ** 0.5, generator=g)",
        ),
        {RESIDUAL: "blocks-alike"},
    ),
]
