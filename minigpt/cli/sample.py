"""`minigpt sample`: let a trained run write."""

from __future__ import annotations

from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.data.conjugations import score_cells
from minigpt.data.corpus import load_corpus
from minigpt.messages import message
from minigpt.runs.run import Run


def add_arguments(parser: Parser) -> None:
    """Add the run and how to draw from it."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help=message("sample.run-dir-help"))
    parser.add_argument("--prompt", type=str, default="", help=message("sample.prompt-help"))
    parser.add_argument("--count", type=int, default=10, help=message("sample.count-help"))
    parser.add_argument("--temperature", type=float, default=0.5, help=message("sample.temperature-help"))
    parser.add_argument("--top-k", type=int | None, default=None, help=message("sample.top-k-help"))
    parser.add_argument("--top-p", type=float | None, default=None, help=message("sample.top-p-help"))
    parser.add_argument("--seed", type=int, default=0, help=message("sample.seed-help"))


def run(arguments: Arguments) -> int:
    """Print samples and, for the course's corpus, how much of it the model conjugates rightly."""
    if arguments.count < 1:
        raise UsageError("config.at-least-one", name="count", given=arguments.count)
    import minigpt.faults  # noqa: F401  a run with a fault is rebuilt with it
    from minigpt.training.sampling import Sampler

    sampler = Sampler.load(arguments.run_dir)
    lines = sampler.lines(
        [arguments.prompt] * arguments.count,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    for line in lines:
        print(line)
    if Run(arguments.run_dir).manifest["data"]["name"] == load_corpus().name:
        shares = score_cells(sampler.lines)
        print(
            message(
                "sample.cells", **{name: f"{share} ({share.value:.0%})" for name, share in shares.items()}
            )
        )
    return 0
