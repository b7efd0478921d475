"""Right and wrong answers to `distances`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

VALUES, SMALL, GRADIENT, TWINS = (
    f"distances/{aspect}" for aspect in ("values", "small", "gradient", "twins")
)


def _distances(*lines):
    head = "def distances(points):"
    square = "square = (points[:, None] - points[None]).square().sum(-1)"
    return "\n    ".join((head, square, *lines))


ANSWERS = [
    Valid("distances", "norm", "def distances(points):\n    return (points[:, None] - points).norm(dim=-1)"),
    Valid(
        "distances",
        "clamped-before",
        _distances("away = square > 0", "return square.masked_fill(~away, 1.0).sqrt() * away"),
    ),
    Mutant(
        "distances",
        "where-after",
        _distances("return torch.where(square > 0, square.sqrt(), 0.0)"),
        {GRADIENT: "gradient-nan", TWINS: "twins-nan"},
    ),
    Mutant(
        "distances",
        "epsilon-inside",
        _distances("return (square + 1e-6).sqrt()"),
        {VALUES: "not-zero", SMALL: "not-zero"},
    ),
    Mutant(
        "distances",
        "nan-to-num",
        _distances("return square.sqrt().nan_to_num()"),
        {GRADIENT: "gradient-nan", TWINS: "twins-nan"},
    ),
    Mutant(
        "distances",
        "diagonal-alone",
        _distances(
            "same = torch.eye(len(points), dtype=torch.bool)",
            "return torch.where(same, 0.0, torch.where(same, 1.0, square).sqrt())",
        ),
        {TWINS: "twins-nan"},
    ),
    Mutant(
        "distances",
        "detached",
        _distances("return torch.where(square > 0, square.detach().sqrt(), 0.0)"),
        {GRADIENT: "no-gradient", TWINS: "no-gradient"},
    ),
    Mutant(
        "distances",
        "squares",
        _distances("return square"),
        {VALUES: "squared", SMALL: "squared", GRADIENT: "gradient-off-here", TWINS: "gradient-off-here"},
    ),
    Mutant(
        "distances",
        "clamped-coarsely",
        _distances("return torch.where(square > 1e-6, square.clamp(min=1e-6).sqrt(), 0.0)"),
        {SMALL: "distance-off"},
    ),
    Mutant(
        "distances",
        "cdist",
        """
def distances(points):
    return torch.cdist(points, points)
""",
        {"distances/small": "cancelled"},
    ),
    Mutant(
        "distances",
        "expanded",
        """
def distances(points):
    sq = points.square().sum(-1)
    squares = (sq[:, None] + sq[None] - 2 * points @ points.T).clamp(min=0)
    apart = squares > 0
    return torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)
""",
        {"distances/small": "cancelled"},
    ),
    Mutant(
        "distances",
        "float32",
        """
def distances(points):
    return (points.float()[:, None] - points.float()).norm(dim=-1)
""",
        {"distances/small": "cancelled"},
    ),
]
