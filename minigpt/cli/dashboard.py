"""`minigpt dashboard`: draw one run, or several side by side, as one HTML file."""

from __future__ import annotations

from pathlib import Path

from minigpt.cli.parser import Arguments, Parser, UsageError
from minigpt.dashboard import Source, follow, from_run, from_wandb, named_apart, page, write
from minigpt.messages import message


def add_arguments(parser: Parser) -> None:
    """Add the runs, where the page goes, and whether it follows them."""
    parser.add_argument("run_dirs", type=str, nargs="*", metavar="RUN", help=message("dashboard.runs-help"))
    parser.add_argument(
        "--wandb", action="append", default=[], metavar="DIR", help=message("dashboard.wandb-help")
    )
    parser.add_argument(
        "--out", type=str | None, default=None, metavar="FILE", help=message("dashboard.out-help")
    )
    parser.add_argument("--live", action="store_true", help=message("dashboard.live-help"))
    parser.elsewhere |= {"--mode": "--live", "--wandb-run": "--wandb"}  # of seed 000's monitor


def run(arguments: Arguments) -> int:
    """Write the page, and say where."""
    folders = [*(arguments.run_dirs or []), *arguments.wandb]
    if not folders:
        raise UsageError("dashboard.no-runs")
    folder = Path(folders[0]).parent if Path(folders[0]).is_file() else Path(folders[0])
    out = Path(arguments.out) if arguments.out else folder / "dashboard.html"

    def read() -> list[Source]:
        runs = [from_run(folder, may_be_empty=arguments.live) for folder in arguments.run_dirs or []]
        return named_apart([*runs, *(from_wandb(folder) for folder in arguments.wandb)])

    if arguments.live:
        read()  # what cannot be read is said before anything else
        print(message("dashboard.following", path=out.resolve()))
        follow(read, out)
    else:
        write(out, page(read()))
    print(message("dashboard.written", path=out.resolve()))
    return 0
