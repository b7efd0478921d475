"""A monitor in a folder of its own."""

from itertools import count

import pytest
from loops import V

from minigpt.monitor import Monitor


@pytest.fixture
def watch(tmp_path):
    """Return what watches a model and an optimizer; `monitor` and `run_dir` are those of the newest run."""
    folders = count()

    def watched(model, optimizer, **settings):
        settings = {"vocab_size": V, "run_dir": tmp_path / f"run-{next(folders)}"} | settings
        watched.monitor, watched.run_dir = Monitor(model, optimizer, **settings), settings["run_dir"]
        return watched.monitor

    return watched
