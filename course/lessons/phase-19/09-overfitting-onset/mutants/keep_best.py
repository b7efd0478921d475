"""Right and wrong answers to `keep-best`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

WEIGHTS, LOSS, MODE, EDGES = (f"keep-best/{aspect}" for aspect in ("weights", "loss", "mode", "edges"))


def _answer(
    copy_of="copy.deepcopy(model.state_dict())",
    measure="model.eval()\n        loss = evaluate(model)\n        model.train()",
    better="loss < best",
    end="model.load_state_dict(weights)\n    return best",
    steps="steps",
):
    return f"""
def keep_best(model, train_step, evaluate, steps):
    best, weights = math.inf, {copy_of}
    for _ in range({steps}):
        train_step(model)
        {measure}
        if {better}:
            best, weights = loss, {copy_of}
    {end}
"""


ANSWERS = [
    Valid(
        "keep-best",
        "cloned",
        """
def keep_best(model, train_step, evaluate, steps):
    kept = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    best = float("inf")
    for step in range(steps):
        model.train()
        train_step(model)
        model.eval()
        with torch.no_grad():
            loss = evaluate(model)
        if loss < best:
            best = loss
            kept = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(kept)
    model.train()
    return best
""",
    ),
    Valid(
        "keep-best",
        "a-model-aside",
        """
def keep_best(model, train_step, evaluate, steps):
    best, aside = math.inf, copy.deepcopy(model)
    for _ in range(steps):
        train_step(model)
        model.eval()
        loss = evaluate(model)
        model.train()
        if loss < best:
            best = loss
            aside.load_state_dict(model.state_dict())
    model.load_state_dict(aside.state_dict())
    return best
""",
    ),
    Mutant(
        "keep-best",
        "no-copy",
        _answer(copy_of="model.state_dict()"),
        {WEIGHTS: "the-last-ones", MODE: "the-last-ones", EDGES: "the-last-ones"},
    ),
    Mutant(
        "keep-best",
        "shallow-copy",
        _answer(copy_of="dict(model.state_dict())"),
        {WEIGHTS: "the-last-ones", MODE: "the-last-ones", EDGES: "the-last-ones"},
    ),
    Mutant(
        "keep-best",
        "never-restored",
        _answer(end="return best"),
        {WEIGHTS: "the-last-ones", MODE: "the-last-ones", EDGES: "the-last-ones"},
    ),
    Mutant(
        "keep-best",
        "measured-in-training",
        _answer(measure="loss = evaluate(model)"),
        {MODE: "measured-in-training"},
    ),
    Mutant(
        "keep-best",
        "stays-in-eval",
        _answer(measure="model.eval()\n        loss = evaluate(model)"),
        {WEIGHTS: "stays-in-eval", LOSS: "stays-in-eval", MODE: "stays-in-eval", EDGES: "stays-in-eval"},
    ),
    Mutant(
        "keep-best",
        "last-loss",
        _answer(end="model.load_state_dict(weights)\n    return loss"),
        {LOSS: "loss-of-the-last", EDGES: "no-lowest-is-infinite"},
    ),
    Mutant(
        "keep-best",
        "nan-wins",
        _answer(better="not loss > best"),
        {EDGES: "nan-wins"},
    ),
    Mutant(
        "keep-best",
        "later-of-equals",
        _answer(better="loss <= best"),
        {EDGES: "later-of-equals"},
    ),
    Mutant(
        "keep-best",
        "one-step-short",
        _answer(steps="steps - 1"),
        {WEIGHTS: "stops-early", LOSS: "stops-early", MODE: "stops-early", EDGES: "stops-early"},
    ),
    Mutant(
        "keep-best",
        "last-weights-where-nothing-was-lowest",
        """
def keep_best(model, train_step, evaluate, steps):
    kept, best = None, float("inf")
    for step in range(steps):
        model.train()
        train_step(model)
        model.eval()
        with torch.no_grad():
            loss = evaluate(model)
        if loss < best:
            best = loss
            kept = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    if kept is not None:
        model.load_state_dict(kept)
    model.train()
    return best
""",
        {EDGES: "nothing-was-lowest"},
    ),
    Mutant(
        "keep-best",
        "first-evaluated",
        """
def keep_best(model, train_step, evaluate, steps):
    weights = copy.deepcopy(model.state_dict()); model.eval(); best = evaluate(model); model.train()
    for _ in range(steps):
        pass
        train_step(model)
        model.eval()
        loss = evaluate(model)
        model.train()
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return best
""",
        {"keep-best/edges": "start-counted"},
    ),
    Mutant(
        "keep-best",
        "ends-in-eval",
        """
def keep_best(model, train_step, evaluate, steps):
    best, weights = math.inf, copy.deepcopy(model.state_dict())
    for _ in range(steps):
        model.train()
        train_step(model)
        model.eval()
        loss = evaluate(model)
        pass
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return best
""",
        {"keep-best/mode": "left-in-eval"},
    ),
    Mutant(
        "keep-best",
        "argmin",
        """
def keep_best(model, train_step, evaluate, steps):
    losses, kept = [], []
    for _ in range(steps):
        train_step(model)
        model.eval(); losses.append(evaluate(model)); model.train()
        kept.append(copy.deepcopy(model.state_dict()))
    at = int(np.nanargmin(losses))
    model.load_state_dict(kept[at])
    return losses[at]
""",
        {"keep-best/edges": "check.raised-at"},
    ),
    Mutant(
        "keep-best",
        "mode-on-restored-copy",
        """
def keep_best(model, train_step, evaluate, steps):
    best, weights = math.inf, copy.deepcopy(model.state_dict())
    for _ in range(steps):
        pass
        train_step(model)
        model.eval()
        loss = evaluate(model)
        model.train()
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights); model.eval()
    return best
""",
        {"keep-best/mode": "left-in-eval"},
    ),
]
