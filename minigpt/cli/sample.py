"""`minigpt sample`: let a trained run write."""

from __future__ import annotations

from jsonargparse import Namespace

from minigpt.cli.parser import Parser
from minigpt.messages import message
from minigpt.sampling import Sampler


def add_arguments(parser: Parser) -> None:
    """Add the run and how to draw from it."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help=message("sample.run-dir-help"))
    parser.add_argument("--prompt", type=str, default="", help=message("sample.prompt-help"))
    parser.add_argument("--count", type=int, default=10, help=message("sample.count-help"))
    parser.add_argument("--temperature", type=float, default=0.8, help=message("sample.temperature-help"))
    parser.add_argument("--top-k", type=int | None, default=None, help=message("sample.top-k-help"))
    parser.add_argument("--seed", type=int, default=0, help=message("sample.seed-help"))


def run(arguments: Namespace) -> int:
    """Print samples."""
    sampler = Sampler.load(arguments.run_dir)
    for line in sampler.lines(
        [arguments.prompt] * arguments.count,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        seed=arguments.seed,
    ):
        print(line)
    return 0
