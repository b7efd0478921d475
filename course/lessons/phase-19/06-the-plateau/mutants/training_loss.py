"""Right and wrong answers to `training-loss`."""

from course.mutants import Mutant, Valid

NEXT, EVERY, PADDING = (f"training-loss/{aspect}" for aspect in ("next-token", "every-target", "padding"))


def _answer(body):
    return f"def training_loss(model, tokens, pad):\n    {body}"


def _wrong(name, body, fails):
    return Mutant("training-loss", name, _answer(body), fails)


ANSWERS = [
    Valid(
        "training-loss",
        "from-the-prose",
        """
def training_loss(model, tokens, pad):
    labels = tokens.clone()
    labels[labels == pad] = -100
    return model(tokens, labels)
""",
    ),
    Valid(
        "training-loss", "where", _answer("return model(tokens, torch.where(tokens == pad, -100, tokens))")
    ),
    _wrong(
        "as-published",
        "return model(tokens[:, :-1], tokens[:, 1:])",
        {NEXT: "shifted-twice", EVERY: "shifted-twice", PADDING: "shifted-twice"},
    ),
    _wrong(
        "shifted-twice-with-mask",
        "return model(tokens[:, :-1], tokens[:, 1:].masked_fill(tokens[:, 1:] == pad, -100))",
        {NEXT: "shifted-twice", EVERY: "shifted-twice", PADDING: "shifted-twice"},
    ),
    _wrong(
        "last-lost",
        "inputs = tokens[:, :-1]; return model(inputs, inputs.masked_fill(inputs == pad, -100))",
        {NEXT: "last-lost", EVERY: "last-lost", PADDING: "last-lost"},
    ),
    _wrong("pad-scored", "return model(tokens, tokens)", {PADDING: "pad-scored"}),
    Mutant(
        "training-loss",
        "labels-in-place",
        """
def training_loss(model, tokens, pad):
    inputs = tokens.clone()
    tokens[tokens == pad] = -100
    return model(inputs, tokens)
""",
        {"training-loss/padding": "tokens-overwritten"},
    ),
]
