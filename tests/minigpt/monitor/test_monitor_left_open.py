"""A monitor that nobody leaves, as in a notebook, is left when Python ends, and all is written."""

import subprocess
import sys
from pathlib import Path

from minigpt.runs.run import Run

LOOP = """
import sys
sys.path.insert(0, {here!r})
from loops import V, batch_at, tokens
from wild_loops import Little, adamw, cross_entropy
from minigpt.monitor import Monitor

model = Little()
optimizer, data = adamw(model), tokens()
monitor = Monitor(model, optimizer, vocab_size=V, run_dir=sys.argv[1])
monitor.__enter__()
for step in range(30):
    inputs, targets = batch_at(data, step)[:2]
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    monitor.step(loss)
    optimizer.zero_grad()
"""


def test_what_was_seen_is_written_when_python_ends(tmp_path):
    loop = LOOP.format(here=str(Path(__file__).resolve().parents[1]))
    ran = subprocess.run(
        [sys.executable, "-c", loop, tmp_path / "run"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert Run(tmp_path / "run").columns.column("loss")[0].tolist() == list(range(30))
