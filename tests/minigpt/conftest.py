"""What the tests of minigpt share: the smallest config that trains, and the command line in this process."""

from dataclasses import dataclass

import pytest
from small_runs import MINIMAL

from minigpt.cli import main
from minigpt.config import Config


@pytest.fixture
def minimal() -> Config:
    """Twelve steps of the smallest model: milliseconds."""
    return MINIMAL


@dataclass
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error, which must be one line on stderr and nothing on stdout."""
        assert self.code == 2 and self.out == "" and self.err.count("\n") == 1, self
        return self.err.strip()


@pytest.fixture
def command(capsys):
    """Return a function that runs `minigpt …` in this process."""

    def run(*argv: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        return Answer(code, *capsys.readouterr())

    return run
