"""What all tests share: threads, one language, and runs that are trained once a session."""

import os
import signal

import hypothesis
import pytest

from minigpt import Config, Recipe, train
from minigpt.messages import use_language

# The threads that a user has, shared among the test processes of `pytest -n`: two processes that each take
# every core would wait for each other. What a test starts as a process of its own keeps a user's settings.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def pytest_configure(config):
    import torch  # after minigpt, which says to it how to wait

    torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a script's background job has it
        signal.signal(signal.SIGINT, signal.default_int_handler)


hypothesis.settings.register_profile("no-clock", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("no-clock")


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """Messages are English unless a test asks otherwise, and no setting comes from this machine."""
    for name in [name for name in os.environ if name.startswith("MINIGPT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MINIGPT_LANG", "en")
    yield
    use_language(None)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A healthy run, short, and trained far enough to be well below chance. Read only."""
    config = Config(steps=80, warmup_steps=10, lr_max=1e-2, lr_min=1e-3, eval_batches=2)
    return train(Recipe(config), tmp_path_factory.mktemp("runs") / "tiny")
